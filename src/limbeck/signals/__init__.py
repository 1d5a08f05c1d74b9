"""Signals: functions from arrays to cleaner arrays and to features, and pipelines that name them.

Every step and feature is a plain function of an array ``(..., n_times)`` and its rate in Hz, whole arrays at a time:

>>> import numpy as np
>>> from limbeck.signals import band_power, bandpass
>>> eeg = np.random.default_rng(0).normal(size=(2, 1280))
>>> band_power(bandpass(eeg, 128, 1, 40), 128, {"alpha": [8, 13], "beta": [13, 30]}).shape
(2, 2)

A study names them in the order in which they run (:func:`parse_signals`); `STEPS` and `FEATURES` list what there is.
"""

from limbeck.signals.asymmetry import FRONTAL_POSTERIOR, LEFT_RIGHT, asymmetry
from limbeck.signals.beats import clean_heart, find_beats
from limbeck.signals.cardiac import ecg_waves, heart, pulse
from limbeck.signals.complexity import hjorth, waveform
from limbeck.signals.decomposition import decompose, phasic, tonic
from limbeck.signals.descriptive import PAIN_STATISTICS, statistics
from limbeck.signals.electrodermal import PAIN_EDA, eda, eda_clean
from limbeck.signals.electrodes import bad_electrodes, ica, interpolate_electrodes
from limbeck.signals.elementwise import clip, demean, log, magnitude
from limbeck.signals.entropy import differential_entropy
from limbeck.signals.extraction import extract
from limbeck.signals.filtering import bandpass, bandstop, highpass, lowpass, notch
from limbeck.signals.intervals import correct_intervals, normal_intervals
from limbeck.signals.kinds import FEATURES, STEPS, FeatureKind, Step, StepKind, feature, step
from limbeck.signals.motion import motion
from limbeck.signals.muscle import PAIN_EMG, emg, envelope
from limbeck.signals.ocular import eog
from limbeck.signals.outliers import hampel, interpolate
from limbeck.signals.parsing import parse_signals, parse_steps
from limbeck.signals.pipeline import Pipeline, WindowValues
from limbeck.signals.quality import QUALITY, moving_share, quality, window_quality
from limbeck.signals.referencing import electrode_name, match_channels, pick, reference
from limbeck.signals.resampling import decimate, resample
from limbeck.signals.respiration import find_breaths, resp_clean, respiration
from limbeck.signals.running import running_bandpower
from limbeck.signals.scr import SCRs, find_scrs
from limbeck.signals.sets import FEATURE_SETS, FeatureSet, feature_set
from limbeck.signals.spectral import BAND_SETS, band_power, bandpower, power_spectrum, resolve_bands, spectrum
from limbeck.signals.sympathetic import sympathetic_amplitude, tvsymp
from limbeck.signals.trends import baseline, detrend

__all__ = [
    "BAND_SETS",
    "FEATURES",
    "FEATURE_SETS",
    "FRONTAL_POSTERIOR",
    "LEFT_RIGHT",
    "PAIN_EDA",
    "PAIN_EMG",
    "PAIN_STATISTICS",
    "QUALITY",
    "STEPS",
    "FeatureKind",
    "FeatureSet",
    "Pipeline",
    "SCRs",
    "Step",
    "StepKind",
    "WindowValues",
    "asymmetry",
    "bad_electrodes",
    "band_power",
    "bandpass",
    "bandpower",
    "bandstop",
    "baseline",
    "clean_heart",
    "clip",
    "correct_intervals",
    "decimate",
    "decompose",
    "demean",
    "detrend",
    "differential_entropy",
    "ecg_waves",
    "eda",
    "eda_clean",
    "electrode_name",
    "emg",
    "envelope",
    "eog",
    "extract",
    "feature",
    "feature_set",
    "find_beats",
    "find_breaths",
    "find_scrs",
    "hampel",
    "heart",
    "highpass",
    "hjorth",
    "ica",
    "interpolate",
    "interpolate_electrodes",
    "log",
    "lowpass",
    "magnitude",
    "match_channels",
    "motion",
    "moving_share",
    "normal_intervals",
    "notch",
    "parse_signals",
    "parse_steps",
    "phasic",
    "pick",
    "power_spectrum",
    "pulse",
    "quality",
    "reference",
    "resample",
    "resolve_bands",
    "resp_clean",
    "respiration",
    "running_bandpower",
    "spectrum",
    "statistics",
    "step",
    "sympathetic_amplitude",
    "tonic",
    "tvsymp",
    "waveform",
    "window_quality",
]
