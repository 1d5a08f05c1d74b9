"""Feature sets by name: the inputs that published systems compute, as pipelines of this room's steps and features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from limbeck.errors import StudyError, did_you_mean
from limbeck.signals.descriptive import PAIN_STATISTICS
from limbeck.signals.electrodermal import PAIN_EDA
from limbeck.signals.muscle import PAIN_EMG

__all__ = ["FEATURE_SETS", "FeatureSet", "feature_set"]


@dataclass(frozen=True)
class FeatureSet:
    """What a published system computes from its signals.

    Parameters
    ----------
    name : str
    title : str
        What it is, in a line.
    source : str
        The publication; what was left open there and how it is read here.
    signals : mapping of str to list
        By modality, in the order of the columns: steps and features as a study writes them.
    channels : mapping of str to int
        How many channels each modality has, where the number of columns depends on it.
    columns : int or None
        Columns of the whole, as stated in the source; None where it depends on the sensors at hand.
    column_major : bool
        As of :class:`Pipeline`.
    """

    name: str
    title: str
    source: str
    signals: Mapping[str, list[Any]]
    channels: Mapping[str, int] = field(default_factory=dict)
    columns: int | None = None
    column_major: bool = False

    @property
    def pipelines(self) -> dict[str, list[Any]]:
        """What a study would write out for the whole set: its features by the set's name, behind its steps."""
        return {modality: [*steps[:-1], {"features": self.name}] for modality, steps in self.signals.items()}


DEAP_EEG = (
    *("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1", "Oz", "Pz"),
    *("Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2"),
)
"""The 32 electrodes of DEAP in the order of its files (Koelstra et al., IEEE TAC 3:18, 2012)."""

EMOTIV = ("AF3", "F3", "F7", "FC5", "T7", "P7", "O1", "AF4", "F4", "F8", "FC6", "T8", "P8", "O2")
"""The 14 electrodes of an Emotiv EPOC, in DEAP's order."""

_FEAR_BANDS = {"bandpower": {"bands": "fear", "kinds": ["amplitude"], "beyond": "nan"}}
_FEAR_MOMENTS = [{"features": [{"statistics": ["mean", "variance"]}]}]
_FEAR_PERIPHERAL = dict.fromkeys(("eog", "emg", "eda", "resp", "bvp", "temp"), _FEAR_MOMENTS)


def _zhang2022(bands: str) -> dict[str, list[Any]]:
    power = {"bands": bands, "kinds": ["relative"], "log": False, "method": "welch", "segment": 1.0}
    power |= {"integral": "simpson", "total": "spectrum"}
    return {"eeg": [{"bandpass": [0.3, 45]}, {"reference": "average"}, {"features": [{"bandpower": power}]}]}


_DPHEDA = {"tvsymp": ["dpheda_sd", "dpheda_max"]}

_PAIN: dict[str, list[Any]] = {
    "eda": [
        {"lowpass": {"cutoff": 4, "order": 5}},
        {"features": [{"statistics": list(PAIN_STATISTICS)}, {"eda": list(PAIN_EDA)}, _DPHEDA]},
    ],
    "ecg": [
        {"bandstop": {"low": 48, "high": 52, "order": 4}},
        {"features": [{"heart": ["period", "rmssd", "sdnn", "slope", "count"]}, "ecg_waves"]},
    ],
    "emg": [
        {"lowpass": {"cutoff": 100, "order": 4}},
        {"features": [{"statistics": list(PAIN_STATISTICS)}, {"emg": list(PAIN_EMG)}]},
    ],
}

_BEATS = ["hr", "sdnn", "rmssd", "pnn50", "sd1", "sd2", "valid"]
_LEVEL = {"statistics": ["mean", "sd", "slope"]}

_WEARABLE: dict[str, list[Any]] = {
    "eda": [{"features": [_LEVEL, "eda"]}],
    "bvp": [{"features": [{"heart": _BEATS}, {"pulse": ["amplitude", "amplitude_sd", "rise_time"]}]}],
    "ecg": [{"features": [{"heart": _BEATS}]}],
    "emg": [{"features": ["emg"]}],
    "resp": [{"features": ["respiration"]}],
    "temp": [{"features": [_LEVEL]}],
    "acc": [{"features": ["motion"]}],
}

_SETS = (
    FeatureSet(
        "fear_deap",
        "Fear levels on DEAP, teacher: 32 electrodes in five bands, mean and variance of eight other channels",
        "Slides on transfer learning and distillation for fear levels; bands and window of 2 s as in a public "
        "notebook, band power as pyeeg's sum of spectral amplitudes. Beside EEG, DEAP has 2 channels of EOG, 2 of EMG "
        "and one each of EDA, respiration, BVP and temperature.",
        {"eeg": [{"pick": list(DEAP_EEG)}, {"features": [_FEAR_BANDS]}], **_FEAR_PERIPHERAL},
        {"eeg": 32, "eog": 2, "emg": 2, "eda": 1, "resp": 1, "bvp": 1, "temp": 1},
        176,
    ),
    FeatureSet(
        "fear_deap_student",
        "Fear levels on DEAP, student: 14 electrodes in five bands, mean and variance of eight other channels",
        "As fear_deap. The notebook's list of 14 electrodes has C3 in the place of T7, one row off; here it is T7, as "
        "on the headset that is meant.",
        {"eeg": [{"pick": list(EMOTIV)}, {"features": [_FEAR_BANDS]}], **_FEAR_PERIPHERAL},
        {"eeg": 14, "eog": 2, "emg": 2, "eda": 1, "resp": 1, "bvp": 1, "temp": 1},
        86,
    ),
    FeatureSet(
        "fear_ascertain",
        "Fear levels on ASCERTAIN, teacher: 8 EEG rows in five bands, mean and variance of six other channels",
        "Slides on transfer learning and distillation for fear levels. The 8 rows of ASCERTAIN come at 32 Hz from one "
        "sensor: bands that reach above half the rate are NaN, and what the source computed there is not known. The "
        "other channels are three of acceleration, GSR and two ECG leads.",
        {"eeg": [{"features": [_FEAR_BANDS]}], "acc": _FEAR_MOMENTS, "eda": _FEAR_MOMENTS, "ecg": _FEAR_MOMENTS},
        {"eeg": 8, "acc": 3, "eda": 1, "ecg": 2},
        52,
    ),
    FeatureSet(
        "fear_ascertain_student",
        "Fear levels on ASCERTAIN, student: 6 EEG rows in five bands, mean and variance of GSR",
        "As fear_ascertain. Which 6 of the 8 rows and which other channel is not stated: name the rows with a step "
        "{pick: [...]}; the channel is read as GSR.",
        {"eeg": [{"features": [_FEAR_BANDS]}], "eda": _FEAR_MOMENTS},
        {"eeg": 6, "eda": 1},
        32,
    ),
    FeatureSet(
        "zhang2022",
        "Continuous valence from EEG: relative band power of 32 electrodes in six bands, band by band",
        "Zhang, Tang, Guan, Pattern Recognition 130:108833, 2022, bands of the paper. For values that run with time "
        "use the step running_bandpower.",
        _zhang2022("zhang2022"),
        {"eeg": 32},
        192,
        column_major=True,
    ),
    FeatureSet(
        "zhang2022_code",
        "As zhang2022, with the bands of the authors' code (delta 0.3 to 4, theta 4 to 8 Hz)",
        "github.com/sucv/Visual_to_EEG_Cross_Modal_KD_for_CER",
        _zhang2022("zhang2022_code"),
        {"eeg": 32},
        192,
        column_major=True,
    ),
    FeatureSet(
        "pain",
        "Hand-made features of pain recognition from EDA, ECG and EMG, for windows of about 5.5 s",
        "Gouverneur et al., Sensors 23:1959, 2023, with filters as there; the difference of half means, empty "
        "there, is left out, and so are TVSymp and MTVSymp: a window of 5.5 s holds no cycle of them. Responses and "
        "waves that are not found are NaN.",
        _PAIN,
        {"eda": 1, "ecg": 1, "emg": 1},
        101,
    ),
    FeatureSet(
        "wearable",
        "A compact set for wristbands, chest belts and patches, causal throughout",
        "Limbeck's own choice of the usual: level and responses of EDA, heart rate and its variability, pulse, muscle "
        "activity, breathing, temperature, motion and posture. A pipeline takes the modalities that a study reads.",
        _WEARABLE,
    ),
)

FEATURE_SETS: dict[str, FeatureSet] = {each.name: each for each in _SETS}
"""By name."""


def feature_set(name: str) -> FeatureSet:
    """Return a set by name, or tell the nearest (StudyError)."""
    if name not in FEATURE_SETS:
        raise StudyError([f"There is no feature set '{name}'.{did_you_mean(name, FEATURE_SETS)}"])
    return FEATURE_SETS[name]
