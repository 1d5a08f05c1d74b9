"""Which changes suit which sensor: what stays the same when a person feels the same.

Skin conductance and temperature carry their meaning in level and trend, so time is neither cut up nor turned and the
gain is changed little. The waveform of the heart has a sign and a direction, and its rate is what many labels rest on:
nothing stretches it by more than a few percent. Strong changes are for the learner's view in consistency training, weak
ones for the view that the teacher labels; the plain ones serve contrastive learning.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from limbeck.errors import StudyError, did_you_mean

__all__ = ["DEFAULTS", "FEATURE_DEFAULTS", "STRENGTHS", "default_changes"]

Steps = list[Any]
"""Changes as a study writes them: a name, or a mapping from the name to its arguments."""


def _plain(sigma: float, low: float, high: float, *, hidden: float = 0.3) -> Steps:
    return [
        {"jitter": sigma},
        {"scale": {"low": low, "high": high}},
        {"time_mask": {"low": hidden / 3, "high": hidden}},
    ]


DEFAULTS: Mapping[str, Steps] = {
    "eeg": [*_plain(0.05, 0.8, 1.2), {"channel_drop": 0.2}],
    "ecg": _plain(0.05, 0.8, 1.2),
    "eda": _plain(0.02, 0.9, 1.1),
    "emg": [*_plain(0.05, 0.8, 1.2), {"shift": 0.1}],
    "bvp": _plain(0.05, 0.8, 1.2),
    "resp": _plain(0.05, 0.8, 1.2),
    "temp": _plain(0.02, 0.9, 1.1),
    "acc": _plain(0.05, 0.8, 1.2),
    "eog": _plain(0.05, 0.8, 1.2),
    "gaze": _plain(0.05, 0.9, 1.1),
    "video": [*_plain(0.05, 0.9, 1.1), {"channel_drop": 0.1}],
}
"""Changes of signals by modality."""

_WEAK: Mapping[str, Steps] = {
    modality: [{"jitter": 0.02}, {"scale": {"low": 0.95, "high": 1.05}}] for modality in DEFAULTS
}

_HARD = _plain(0.1, 0.6, 1.4, hidden=0.5)
_LEVEL = _plain(0.05, 0.8, 1.2, hidden=0.4)
_SLOW_WARP = {"time_warp": {"strength": 0.1, "probability": 0.5}}
_SLIGHT_WARP = {"time_warp": {"strength": 0.03, "probability": 0.5}}

_STRONG: Mapping[str, Steps] = {
    "eeg": [
        *_HARD,
        {"channel_drop": 0.3},
        {"band_stop": {"low": 1.0, "high": 40.0, "width": 0.15, "probability": 0.5}},
        _SLOW_WARP,
    ],
    "ecg": [*_HARD, _SLIGHT_WARP],
    "eda": [*_LEVEL, _SLOW_WARP],
    "emg": [*_HARD, {"shift": 0.3}, {"permutation": {"pieces": 5, "probability": 0.5}}],
    "bvp": [*_HARD, _SLIGHT_WARP],
    "resp": [*_HARD, _SLIGHT_WARP],
    "temp": _LEVEL,
    "acc": [*_HARD, {"permutation": {"pieces": 5, "probability": 0.5}}],
    "eog": [*_HARD, _SLOW_WARP],
    "gaze": [*_LEVEL, _SLOW_WARP],
    "video": [*_LEVEL, {"channel_drop": 0.2}, _SLOW_WARP],
}

STRENGTHS: Mapping[str, Mapping[str, Steps]] = {"default": DEFAULTS, "weak": _WEAK, "strong": _STRONG}
"""Changes of signals by strength and modality."""

FEATURE_DEFAULTS: Mapping[str, Steps] = {
    "default": [{"feature_jitter": 0.1}, {"feature_mask": 0.1}],
    "weak": [{"feature_jitter": 0.05}],
    "strong": [{"feature_jitter": 0.2}, {"feature_mask": 0.3}],
}
"""Changes of rows of features by strength, the same for all modalities."""


def default_changes(modality: str, is_feature: bool, strength: str = "default") -> Steps:
    """Return the changes that suit a modality, as a study writes them.

    Parameters
    ----------
    modality : str
        Whose windows.
    is_feature : bool
        Whether they are rows of features.
    strength : {"default", "weak", "strong"}
        How much is changed.

    Raises
    ------
    StudyError
        There is no such strength, or no such modality.
    """
    mistakes = []
    if strength not in STRENGTHS:
        mistakes.append(f"there is no strength '{strength}'.{did_you_mean(strength, STRENGTHS)}")
    if modality not in DEFAULTS:
        mistakes.append(f"there are no changes for a modality '{modality}'.{did_you_mean(modality, DEFAULTS)}")
    if mistakes:
        raise StudyError(mistakes, source="augment")
    return copy.deepcopy(FEATURE_DEFAULTS[strength] if is_feature else STRENGTHS[strength][modality])
