"""Signals: functions from arrays to cleaner arrays and to features, and pipelines that name them.

Every step and feature is a plain function of an array ``(..., n_times)`` and its rate in Hz, whole arrays at a time:

>>> import numpy as np
>>> from limbeck.signals import band_power, bandpass
>>> eeg = np.random.default_rng(0).normal(size=(2, 1280))
>>> band_power(bandpass(eeg, 128, 1, 40), 128, {"alpha": [8, 13], "beta": [13, 30]}).shape
(2, 2)

A study names them in the order in which they run (:func:`parse_signals`); `STEPS` and `FEATURES` list what there is.
"""

from limbeck.signals.cardiac import find_beats, heart, normal_intervals
from limbeck.signals.descriptive import statistics
from limbeck.signals.elementwise import clip, demean, log, magnitude
from limbeck.signals.filtering import bandpass, highpass, lowpass, notch
from limbeck.signals.pipeline import (
    FEATURES,
    STEPS,
    FeatureKind,
    Pipeline,
    Step,
    StepKind,
    WindowValues,
    feature,
    parse_signals,
    parse_steps,
    step,
)
from limbeck.signals.resampling import decimate, resample
from limbeck.signals.spectral import BAND_SETS, band_power, bandpower, resolve_bands

__all__ = [
    "BAND_SETS",
    "FEATURES",
    "STEPS",
    "FeatureKind",
    "Pipeline",
    "Step",
    "StepKind",
    "WindowValues",
    "band_power",
    "bandpass",
    "bandpower",
    "clip",
    "decimate",
    "demean",
    "feature",
    "find_beats",
    "heart",
    "highpass",
    "log",
    "lowpass",
    "magnitude",
    "normal_intervals",
    "notch",
    "parse_signals",
    "parse_steps",
    "resample",
    "resolve_bands",
    "statistics",
    "step",
]
