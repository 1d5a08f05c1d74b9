"""A simulated cohort whose truth is known: what the sensors carry is set, and the best possible score follows from it.

**The model.** Each trial is calm (0) or aroused (1). The state sets a latent arousal, each modality's *feature* is a
noisy copy of it, and the signal is built so that the trial's statistic *is* that feature::

    state z            exactly round(balance * trials) aroused trials per subject, in random order
    arousal a | z      ~ N(±separation / 2, latent_spread²), drawn per trial
    feature f_m | a    = informative_m * a + noise_m * e + shift_m * u_subject,m        e, u ~ N(0, 1)
    label y            = z, exchanged with probability label_noise

`strength` multiplies every `informative`. The rest before the trials is made of neutral trials (their arousal is drawn
around 0), for calibration.

**What carries the feature.** Everything else in a signal is drawn without looking at the state, and where it overlaps
with the statistic it is taken out again, so that the statistic states the feature and nothing else does:

========  ====  ====================================================================================================
modality  Hz    statistic of a trial (`GAIN` times the feature, up to a constant)
========  ====  ====================================================================================================
eeg       128   mean over the channels of log power: 8–13 Hz falls, 13–30 Hz rises (Hann-tapered periodogram)
ecg       128   log of the mean interval between R peaks falls (within what one sample resolves)
eda       8     log amplitude of the skin conductance responses rises (least squares on `scr_template`)
bvp       64    log of the pulse wave's standard deviation falls
resp      16    log of the breath's standard deviation rises
temp      4     mean temperature falls
acc       32    log of the movement's standard deviation, averaged over the axes, rises
========  ====  ====================================================================================================

Read from a whole trial, a statistic differs from the feature by less than 0.05 units of the feature; from a window
that is not a trial, by more.

`background` scales what a modality shows besides: unlike electrodes, spontaneous skin conductance responses and drift,
heart rate variability, wandering baselines. It carries nothing, and it makes learning from few labels hard.

The pulses of `bvp` keep a time of their own: beating with the ECG they would tell the ECG's feature as well, and a set
of modalities could not be judged by itself. neurokit2's simulators draw a whole recording from one set of parameters
and cannot be given a value per trial, so their shapes (Bateman's skin conductance response, a P-QRS-T complex made of
Gaussians) are written here for all trials at once; its detectors find the beats and responses.

**Ceilings.** :func:`ceiling` integrates the best balanced accuracy on the observed labels that any model could reach
which reads one trial at a time, however it was trained, with the subjects' shifts known to it.
"""

from __future__ import annotations

import copy
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft

from limbeck.datasets import DatasetInfo, dataset
from limbeck.errors import StudyError, did_you_mean
from limbeck.recording import MODALITIES, UNITS, Corpus, Event, Recording, Signal, Source, Trace

__all__ = [
    "CHANNELS",
    "GAIN",
    "PRESETS",
    "RATES",
    "Cohort",
    "Latents",
    "Modality",
    "ceiling",
    "ceilings",
    "cohort",
    "draw_latents",
    "scr_template",
    "simulate",
    "simulated",
]

RATES = {"eeg": 128.0, "ecg": 128.0, "eda": 8.0, "bvp": 64.0, "resp": 16.0, "temp": 4.0, "acc": 32.0}
"""Sampling rate in Hz per modality."""

CHANNELS = {
    "eeg": ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2"),
    "ecg": ("ecg",),
    "eda": ("eda",),
    "bvp": ("bvp",),
    "resp": ("resp",),
    "temp": ("temp",),
    "acc": ("x", "y", "z"),
}
"""Channel names per modality."""

GAIN = {"eeg": 0.4, "ecg": 0.06, "eda": 0.35, "bvp": 0.25, "resp": 0.25, "temp": 0.2, "acc": 0.2}
"""How far one unit of the feature moves the statistic: in its logarithm, for `temp` in °C."""

FURTHEST = {"eeg": 5.0, "ecg": 0.8, "eda": 5.0, "bvp": 5.0, "resp": 5.0, "temp": 10.0, "acc": 5.0}
"""How far the statistic may move before the signal is no recording of a body any more, in the terms of `GAIN`."""

STATES = ("calm", "aroused")
CALIBRATION = "rest"

_GRID_SECONDS = 0.25  # the slowest modality's sample: every trial is a whole number of samples of every modality
_BLEND_SECONDS = 0.25  # two trials blend into each other over this long, so that no step betrays the border
_SLOT_SECONDS = 8.0  # one skin conductance response per so many seconds
_PERIOD = 0.85  # the heart's resting interval in seconds


@dataclass(frozen=True)
class Modality:
    """What one modality knows of the arousal.

    Parameters
    ----------
    informative : float
        How much the feature moves with the arousal; 0 carries nothing.
    noise : float
        Standard deviation of the feature around it, from trial to trial.
    shift : float
        Standard deviation of the subjects' own offsets of the feature.
    background : float
        Size of the variation that carries nothing, relative to a plausible recording.
    """

    informative: float = 1.0
    noise: float = 1.0
    shift: float = 0.5
    background: float = 1.0


@dataclass(frozen=True)
class Cohort:
    """The resolved options of a simulated cohort; :func:`simulated` describes them."""

    subjects: int = 24
    trials: int = 40
    trial_seconds: float = 8.0
    rest_seconds: float = 16.0
    balance: float = 0.5
    label_noise: float = 0.0
    separation: float = 2.0
    latent_spread: float = 0.5
    strength: float = 1.0
    seed: int = 0
    modalities: Mapping[str, Modality] = field(default_factory=dict)

    @property
    def aroused_trials(self) -> int:
        """Number of trials of a subject whose true state is aroused; never none, never all."""
        return min(max(round(self.balance * self.trials), 1), self.trials - 1)

    @property
    def rest_trials(self) -> int:
        """Number of neutral trials that the rest is made of."""
        return round(self.rest_seconds / self.trial_seconds)

    @property
    def blocks(self) -> int:
        """Number of trials, neutral ones included."""
        return self.rest_trials + self.trials


@dataclass(frozen=True)
class Latents:
    """What is behind a subject's signals; every array has one entry per block: the neutral trials first.

    Parameters
    ----------
    state, label : ndarray of shape (n_blocks,), int64
        True state and observed label (0 calm, 1 aroused); -1 in neutral trials.
    arousal : ndarray of shape (n_blocks,), float64
        The latent arousal.
    features : mapping of str to ndarray of shape (n_blocks,), float64
        Each modality's feature, the subject's shift included.
    shifts : mapping of str to float
        The subject's shift of each feature.
    """

    state: np.ndarray
    label: np.ndarray
    arousal: np.ndarray
    features: Mapping[str, np.ndarray]
    shifts: Mapping[str, float]


_DEFAULTS = {
    "eeg": Modality(informative=1.0, noise=0.3),
    "ecg": Modality(informative=1.0, noise=1.5),
    "eda": Modality(informative=1.0, noise=1.0),
    "bvp": Modality(informative=1.0, noise=2.0),
    "resp": Modality(informative=1.0, noise=2.0),
    "temp": Modality(informative=1.0, noise=3.0),
    "acc": Modality(informative=1.0, noise=3.0),
}
_DEFAULT_SET = ("eeg", "ecg", "eda")

_WINDOWS = {"length": 8.0, "hop": 8.0, "calibration": {"condition": CALIBRATION, "seconds": 96.0}}
_STATISTICS: list[dict[str, list[str]]] = [{"features": ["statistics"]}]
_BANDS: list[dict[str, list[str]]] = [{"features": ["bandpower"]}]

PRESETS: dict[str, dict[str, Any]] = {
    "privileged_helps": {
        # A model of p features fitted to n labelled windows loses about p / n of its distance between the classes.
        # The EEG states the arousal in many features at once, so 60 labels find it; the wristband states it in one
        # direction among 42 features, of which all but the 7 of the EDA are variation that tells nothing, so 60 labels
        # do not find it and the 460 windows of 23 subjects do.
        "options": {
            "subjects": 24,
            "trials": 20,
            "trial_seconds": 8.0,
            "rest_seconds": 96.0,
            "label_noise": 0.04,
            "latent_spread": 0.45,
            "modalities": {
                "eeg": {"informative": 1.0, "noise": 0.25},
                "eda": {"informative": 1.0, "noise": 1.0},
                "bvp": {"informative": 0.0, "noise": 1.0},
                "temp": {"informative": 0.0, "noise": 1.0},
                "acc": {"informative": 0.0, "noise": 1.0},
            },
        },
        "regime": (
            "Labels are scarce, recordings are not: 3 of 24 subjects carry labels (60 windows, 4 % of them wrong). EEG "
            "states the arousal nearly without noise; of the wristband only EDA tells anything, with noise as large as "
            "what it tells. A teacher labels the other subjects nearly correctly; a wristband model of its own falls 6 "
            "to 10 points short of the same model with every label (logistic regressions, by their penalty)."
        ),
        "protocol": {
            "teacher": ["acc", "bvp", "eda", "eeg", "temp"],
            "student": ["acc", "bvp", "eda", "temp"],
            "labelled": 3,
            "signals": {
                "eeg": _BANDS,
                "eda": _STATISTICS,
                "bvp": _STATISTICS,
                "temp": _STATISTICS,
                "acc": _STATISTICS,
            },
            **_WINDOWS,
        },
    },
    "privileged_useless": {
        "options": {
            "subjects": 24,
            "trials": 40,
            "trial_seconds": 8.0,
            "rest_seconds": 96.0,
            "label_noise": 0.04,
            "latent_spread": 0.45,
            "modalities": {
                "eeg": {"informative": 0.0, "noise": 1.0},
                "eda": {"informative": 1.0, "noise": 0.8, "shift": 0.3, "background": 0.2},
            },
        },
        "regime": (
            "All 24 subjects carry labels (40 windows each, 4 % of them wrong). EEG tells nothing; EDA tells the state "
            "and, with so many labels, a student of its own is near what EDA allows: there is nothing to be taught."
        ),
        "protocol": {
            "teacher": ["eda", "eeg"],
            "student": ["eda"],
            "labelled": "all",
            "signals": {"eeg": _BANDS, "eda": _STATISTICS},
            **_WINDOWS,
        },
    },
    "no_signal": {
        "options": {
            "subjects": 24,
            "trials": 20,
            "trial_seconds": 8.0,
            "rest_seconds": 96.0,
            "label_noise": 0.0,
            "latent_spread": 0.45,
            "modalities": {
                "eeg": {"informative": 0.0, "noise": 1.0},
                "eda": {"informative": 0.0, "noise": 1.0},
            },
        },
        "regime": (
            "All 24 subjects carry labels (20 windows each, none wrong). No modality tells anything: every model is at "
            "0.5, and every claim is false."
        ),
        "protocol": {
            "teacher": ["eda", "eeg"],
            "student": ["eda"],
            "labelled": "all",
            "signals": {"eeg": _BANDS, "eda": _STATISTICS},
            **_WINDOWS,
        },
    },
}
"""Ready cohorts by name: ``options`` for :func:`simulated`, the ``regime`` in words and a suggested ``protocol``.

Theory, and logistic regressions on the true labels, fixed them; no network had been taught on them when they were."""


# ---------------------------------------------------------------------------------------------------------- options


def cohort(preset: str | None = None, **options: Any) -> Cohort:
    """Resolve and check the options of a cohort.

    Parameters
    ----------
    preset : str, optional
        A name of `PRESETS`; `options` that are given (not None) take precedence.
    **options
        As in :func:`simulated`.

    Returns
    -------
    Cohort

    Raises
    ------
    StudyError
        With every mistake: unknown names, wrong types, values out of range.
    """
    mistakes: list[str] = []
    base: dict[str, Any] = {}
    if preset is not None:
        if isinstance(preset, str) and preset in PRESETS:
            base = dict(PRESETS[preset]["options"])
        else:
            mistakes.append(f"preset: there is no '{preset}'.{did_you_mean(str(preset), PRESETS)}")
    names = {entry.name for entry in fields(Cohort)}
    mistakes += [f"{name}: unknown option.{did_you_mean(name, names)}" for name in sorted(set(options) - names)]
    given = {name: value for name, value in options.items() if name in names and value is not None}

    modalities = _resolve_modalities(base.pop("modalities", None), given.pop("modalities", None), mistakes)
    values = base | given
    if "trial_seconds" in values and "rest_seconds" not in values and _is_number(values["trial_seconds"]):
        values["rest_seconds"] = 2 * values["trial_seconds"]
    settled: dict[str, Any] = {}
    for name, value in values.items():
        number = _check_number(name, value, mistakes)
        if number is not None:
            settled[name] = number
    resolved = Cohort(**settled, modalities=modalities)
    mistakes += _check_trials(resolved)
    if mistakes:
        raise StudyError(mistakes, source="simulated cohort")
    return resolved


_RANGES: dict[str, tuple[float, float, str]] = {
    "subjects": (1, math.inf, "a whole number from 1"),
    "trials": (2, math.inf, "a whole number from 2"),
    "seed": (0, math.inf, "a whole number from 0"),
    "trial_seconds": (2.0, math.inf, "seconds from 2"),
    "rest_seconds": (0.0, math.inf, "seconds from 0"),
    "balance": (0.0, 1.0, "a share between 0 and 1"),
    "label_noise": (0.0, 0.5, "a share from 0 to 0.5"),
    "separation": (0.0, math.inf, "a number from 0"),
    "latent_spread": (0.0, math.inf, "a number from 0"),
    "strength": (0.0, math.inf, "a number from 0"),
}
_WHOLE = ("subjects", "trials", "seed")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _check_number(name: str, value: Any, mistakes: list[str]) -> int | float | None:
    """Return the value as a plain number, or put what is wrong with it on `mistakes`."""
    low, high, expected = _RANGES[name]
    whole = name in _WHOLE
    if not _is_number(value) or not math.isfinite(value) or not low <= value <= high or (whole and value != int(value)):
        mistakes.append(f"{name}: found {value!r}; expected {expected}.")
        return None
    return int(value) if whole else float(value)


def _check_trials(resolved: Cohort) -> list[str]:
    """Return what is wrong with the options taken together."""
    mistakes = []
    if not 0 < resolved.balance < 1:
        mistakes.append(f"balance: found {resolved.balance}; expected a share between 0 and 1, both excluded.")
    if resolved.trial_seconds % _GRID_SECONDS:
        mistakes.append(
            f"trial_seconds: found {resolved.trial_seconds}; expected a multiple of {_GRID_SECONDS} s, so that a trial "
            "is a whole number of samples of every modality."
        )
    elif resolved.rest_seconds % resolved.trial_seconds:
        mistakes.append(
            f"rest_seconds: found {resolved.rest_seconds}; expected a multiple of trial_seconds "
            f"({resolved.trial_seconds}), because the rest is made of neutral trials."
        )
    reach = resolved.separation / 2 + 2 * resolved.latent_spread
    for name, modality in resolved.modalities.items():
        feature = abs(modality.informative) * resolved.strength * reach + 2 * (modality.noise + modality.shift)
        if GAIN[name] * feature > FURTHEST[name]:
            mistakes.append(
                f"modalities.{name}: found features that reach ±{feature:.3g}; expected at most "
                f"{FURTHEST[name] / GAIN[name]:.3g} (strength * informative * arousal + 2 * (noise + shift)), or the "
                "signal is no recording of a body. Lower noise and informative together: only their ratio counts."
            )
    return mistakes


def _resolve_modalities(base: Mapping[str, Any] | None, given: Any, mistakes: list[str]) -> dict[str, Modality]:
    """Merge what a preset says about the modalities with what the user says.

    A list of names selects; a mapping changes single options of the preset's modalities and adds others, and without a
    preset it is the whole set.
    """
    known = dict(_DEFAULTS) | {name: replace(_DEFAULTS[name], **(entry or {})) for name, entry in (base or {}).items()}
    if given is None:
        return {name: known[name] for name in (base or _DEFAULT_SET)}
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, Mapping | list | tuple) or not given:
        mistakes.append(f"modalities: found {given!r}; expected a list of names or a mapping of names to options.")
        return {}
    chosen = [*(base or ()), *given] if isinstance(given, Mapping) else list(given)
    result = {}
    for name in dict.fromkeys(chosen):
        if name not in known:
            mistakes.append(f"modalities: '{name}' cannot be simulated.{did_you_mean(str(name), known)}")
            continue
        changes = given.get(name) if isinstance(given, Mapping) else None
        result[name] = _changed_modality(name, known[name], changes or {}, mistakes)
    return {name: result[name] for name in MODALITIES if name in result}


def _changed_modality(name: str, modality: Modality, changes: Any, mistakes: list[str]) -> Modality:
    allowed = [entry.name for entry in fields(Modality)]
    if not isinstance(changes, Mapping):
        mistakes.append(f"modalities.{name}: found {changes!r}; expected a mapping with {', '.join(allowed)}.")
        return modality
    accepted = {}
    for key, value in changes.items():
        if key not in allowed:
            mistakes.append(f"modalities.{name}.{key}: unknown option.{did_you_mean(str(key), allowed)}")
        elif not _is_number(value) or not math.isfinite(value) or (value < 0 and key != "informative"):
            least = "a number" if key == "informative" else "a number from 0"
            mistakes.append(f"modalities.{name}.{key}: found {value!r}; expected {least}.")
        else:
            accepted[key] = float(value)
    return replace(modality, **accepted)


# --------------------------------------------------------------------------------------------------------- ceilings

_HERMITE_NODES, _HERMITE_WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
_GRID_POINTS = 2001


def ceiling(modalities: str | Iterable[str], /, *, preset: str | None = None, **options: Any) -> float:
    """Return the best balanced accuracy that any model of these modalities can reach on the observed labels.

    Any model: however it was trained and whatever it computes, as long as it reads one trial at a time. The subjects'
    shifts count as known (a model that has to find them from few trials stays below); the rule may use the labels'
    frequencies and their noise.

    Given the arousal the features are independent and normal, so their sum weighted by informative / noise² is all that
    they tell about it: a measurement of the arousal whose error has the variance 1 / Σ (informative / noise)². Its
    density in each state is integrated over the latent arousal (Gauss–Hermite) on a grid, mixed into the densities of
    the two observed labels by Bayes' rule for label noise and class balance, and the larger of the two, at every point,
    is what the best rule collects.

    Parameters
    ----------
    modalities : str or iterable of str
        Which modalities the model reads; ``"ecg+eda"`` is ``["ecg", "eda"]``.
    preset : str, optional
        A name of `PRESETS`.
    **options
        As in :func:`simulated`.

    Returns
    -------
    float
        Between 0.5 and 1.

    Raises
    ------
    StudyError
        If an option is wrong or a modality is not in the cohort.

    Examples
    --------
    >>> round(ceiling(["eda"], modalities={"eda": {"noise": 1.0}}, latent_spread=0.0), 3)
    0.841
    """
    chosen = modalities.split("+") if isinstance(modalities, str) else modalities
    return _ceiling(cohort(preset, **options), tuple(chosen))


def ceilings(resolved: Cohort) -> dict[str, float]:
    """Return :func:`ceiling` for every non-empty set of the cohort's modalities, as ``"ecg+eda"`` (names sorted)."""
    names = sorted(resolved.modalities)
    sets = itertools.chain.from_iterable(itertools.combinations(names, size) for size in range(1, len(names) + 1))
    return {"+".join(chosen): _ceiling(resolved, chosen) for chosen in sets}


def _ceiling(resolved: Cohort, modalities: tuple[str, ...]) -> float:
    strangers = [name for name in modalities if name not in resolved.modalities]
    if strangers:
        raise StudyError(
            [f"'{name}' is not in the cohort.{did_you_mean(name, resolved.modalities)}" for name in strangers],
            source="ceiling",
        )
    precision = 0.0
    for name in set(modalities):
        modality = resolved.modalities[name]
        signal = modality.informative * resolved.strength
        if signal:
            precision += (signal / modality.noise) ** 2 if modality.noise else math.inf
    if precision == 0 or resolved.separation == 0:
        return 0.5
    distance = _state_distance(resolved.separation, resolved.latent_spread, math.sqrt(1 / precision))
    aroused = resolved.aroused_trials / resolved.trials
    kept, flipped = 1 - resolved.label_noise, resolved.label_noise
    # share of truly aroused trials among those labelled aroused, and among those labelled calm
    among_aroused = kept * aroused / (kept * aroused + flipped * (1 - aroused))
    among_calm = flipped * aroused / (flipped * aroused + kept * (1 - aroused))
    return 0.5 + 0.5 * (among_aroused - among_calm) * distance


@functools.lru_cache(maxsize=1024)
def _state_distance(separation: float, spread: float, error: float) -> float:
    """Return half the integral of ``|p(t | aroused) - p(t | calm)|`` over the measured arousal t.

    The wider of the two normal laws (arousal in a state, error of measurement) is evaluated, the narrower one is
    integrated out: the integrand is then smooth and the quadrature converges.
    """
    wide, narrow = max(spread, error), min(spread, error)
    if wide == 0:
        return 1.0
    reach = separation / 2 + 9 * math.hypot(wide, narrow)
    grid = np.linspace(-reach, reach, _GRID_POINTS)
    weights = _HERMITE_WEIGHTS / _HERMITE_WEIGHTS.sum()

    def density(centre: float) -> np.ndarray:
        standard = (grid[:, None] - centre - narrow * _HERMITE_NODES) / wide
        return np.exp(-0.5 * standard**2) @ weights / (wide * math.sqrt(2 * math.pi))

    gap = np.abs(density(separation / 2) - density(-separation / 2))
    return min(0.5 * float(np.trapezoid(gap, grid)), 1.0)


# ---------------------------------------------------------------------------------------------------------- latents


def _generator(seed: int, subject: int, stream: int) -> np.random.Generator:
    """Return a stream of a subject's own, so that no subject and no modality moves another's draws."""
    return np.random.default_rng([seed, subject, stream])


def _streams(name: str) -> tuple[int, int]:
    """Return the numbers of the streams for a modality's feature and for its signal; stream 0 is the schedule's."""
    place = MODALITIES.index(name)
    return 1 + 2 * place, 2 + 2 * place


def draw_latents(resolved: Cohort, subject: int) -> Latents:
    """Draw states, labels, arousal and features of one subject.

    Parameters
    ----------
    resolved : Cohort
        From :func:`cohort`.
    subject : int
        Number of the subject, from 0.

    Returns
    -------
    Latents
        The same for the same seed and subject, whatever the number of subjects and whichever other modalities.
    """
    schedule = _generator(resolved.seed, subject, 0)
    state = np.zeros(resolved.trials, dtype=np.int64)
    state[: resolved.aroused_trials] = 1
    state = schedule.permutation(state)
    label = np.where(schedule.random(resolved.trials) < resolved.label_noise, 1 - state, state)
    neutral = np.full(resolved.rest_trials, -1, dtype=np.int64)
    centre = np.concatenate([np.zeros(resolved.rest_trials), (state - 0.5) * resolved.separation])
    arousal = centre + resolved.latent_spread * schedule.standard_normal(resolved.blocks)

    features, shifts = {}, {}
    for name, modality in resolved.modalities.items():
        rng = _generator(resolved.seed, subject, _streams(name)[0])
        shifts[name] = modality.shift * float(rng.standard_normal())
        noise = modality.noise * rng.standard_normal(resolved.blocks)
        features[name] = modality.informative * resolved.strength * arousal + noise + shifts[name]
    return Latents(np.concatenate([neutral, state]), np.concatenate([neutral, label]), arousal, features, shifts)


# ---------------------------------------------------------------------------------------------------------- signals


@dataclass(frozen=True)
class _Blocks:
    """The trials of one recording in samples of one modality."""

    count: int
    seconds: float
    rate: float

    @property
    def length(self) -> int:
        return round(self.seconds * self.rate)

    @property
    def samples(self) -> int:
        return self.count * self.length

    @property
    def duration(self) -> float:
        return self.count * self.seconds

    @property
    def times(self) -> np.ndarray:
        return np.arange(self.samples) / self.rate

    def cut(self, data: np.ndarray) -> np.ndarray:
        """View (channel, time) as (channel, block, time in block)."""
        return data.reshape(data.shape[0], self.count, self.length)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Hold a value per (channel, block) through its block; neighbours blend into each other at the border."""
        held = np.repeat(values[:, :, None], self.length, axis=2)
        half = min(round(_BLEND_SECONDS * self.rate / 2), self.length // 2)
        if half and self.count > 1:
            ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(2 * half) + 0.5) / (2 * half))
            border = values[:, :-1, None] + np.diff(values, axis=1)[:, :, None] * ramp
            held[:, :-1, self.length - half :] = border[:, :, :half]
            held[:, 1:, :half] = border[:, :, half:]
        return held.reshape(values.shape[0], self.samples)


def _scaled(carrier: np.ndarray, log_deviation: np.ndarray, blocks: _Blocks, *, tapered: bool = False) -> np.ndarray:
    """Scale a carrier block by block until each block's standard deviation is what it should be.

    Parameters
    ----------
    carrier : ndarray of shape (n_channels, n_times)
        What is scaled.
    log_deviation : ndarray of shape (n_channels, n_blocks)
        Logarithm of the wanted standard deviation.
    blocks : _Blocks
        Where the blocks lie.
    tapered : bool
        Measure under a Hann taper, as a periodogram does, without removing the mean.
    """
    taper = np.hanning(blocks.length + 1)[:-1] if tapered else np.ones(blocks.length)
    weights = (taper**2 / (taper**2).sum()).astype(carrier.dtype)
    gain = np.zeros_like(log_deviation)
    scaled = carrier
    for _ in range(3):  # the blended borders let neighbours into a block, so that one pass is not exact
        cut = blocks.cut(scaled)
        power = np.square(cut) @ weights
        if not tapered:
            power = power - (cut @ weights) ** 2
        gain = gain + log_deviation - 0.5 * np.log(power)
        scaled = carrier * blocks.spread(np.exp(gain).astype(carrier.dtype))
    return scaled


def _levelled(carrier: np.ndarray, level: np.ndarray, blocks: _Blocks) -> np.ndarray:
    """Raise a carrier block by block until each block's mean is `level`, of shape (n_channels, n_blocks)."""
    offset = np.zeros_like(level)
    levelled = carrier
    for _ in range(5):
        offset = offset + level - blocks.cut(levelled).mean(axis=2)
        levelled = carrier + blocks.spread(offset)
    return levelled


def _spectrum(rng: np.random.Generator, channels: int, samples: int) -> np.ndarray:
    """White spectrum whose inverse real transform is noise of unit variance, one row per channel; complex64."""
    parts = rng.standard_normal((2, channels, samples // 2 + 1), dtype=np.float32)
    return (parts[0] + 1j * parts[1]) * np.float32(math.sqrt(samples / 2))


def _band(spectrum: np.ndarray, blocks: _Blocks, low: float, high: float, slope: float = 0.0) -> np.ndarray:
    """Noise of one band of a spectrum; its power falls with frequency to the power of `slope`."""
    frequency = scipy.fft.rfftfreq(blocks.samples, 1 / blocks.rate)
    inside = (frequency >= low) & (frequency <= high)
    weight = np.zeros(len(frequency), dtype=np.float32)
    weight[inside] = frequency[inside] ** (-slope / 2)
    return scipy.fft.irfft(spectrum * weight, blocks.samples, axis=-1)


def _noise(rng: np.random.Generator, channels: int, blocks: _Blocks, low: float, high: float) -> np.ndarray:
    """Band-limited noise of shape (channel, time) and unit standard deviation per channel."""
    band = _band(_spectrum(rng, channels, blocks.samples), blocks, low, high)
    return band / np.maximum(band.std(axis=-1, keepdims=True), 1e-12)


def _unlike(rng: np.random.Generator, channels: int, blocks: _Blocks) -> np.ndarray:
    """Differences between channels, lasting and from trial to trial, without a common part: (channel, block)."""
    unlike = 0.3 * rng.standard_normal((channels, 1)) + 0.2 * rng.standard_normal((channels, blocks.count))
    return unlike - unlike.mean(axis=0)


_EEG_BASE = {"alpha": math.log(60.0), "beta": math.log(25.0)}  # µV²


def _eeg(feature: np.ndarray, blocks: _Blocks, background: float, rng: np.random.Generator) -> np.ndarray:
    channels = len(CHANNELS["eeg"])
    spectrum = _spectrum(rng, channels, blocks.samples)
    # gaps of half a hertz on either side keep the tapered power of one band out of its neighbours
    rest = _band(spectrum, blocks, 0.5, 7.5, slope=1.0) + _band(spectrum, blocks, 30.5, 45.0, slope=1.0)
    signal = rest * np.float32(14.0 / rest.std())
    for name, low, high, sign in (("alpha", 8.5, 12.5, -1), ("beta", 13.5, 29.5, 1)):
        power = _EEG_BASE[name] + sign * GAIN["eeg"] * feature + background * _unlike(rng, channels, blocks)
        carrier = _band(spectrum, blocks, low, high, slope=1.0)
        signal = signal + _scaled(carrier, 0.5 * power.astype(np.float32), blocks, tapered=True)
    return signal


def _beats(period: np.ndarray, blocks: _Blocks, rng: np.random.Generator) -> np.ndarray:
    """Return times of beats that follow each other at a block's period within the block."""
    edges = np.arange(blocks.count + 1) * blocks.seconds
    phase = np.concatenate([[0.0], np.cumsum(blocks.seconds / period)]) + rng.random()
    return np.interp(np.arange(math.ceil(phase[0]), math.floor(phase[-1]) + 1), phase, edges)


def _placed(
    shape: Callable[[np.ndarray], np.ndarray],
    before: float,
    after: float,
    beats: np.ndarray,
    blocks: _Blocks,
    size: np.ndarray | float = 1.0,
) -> np.ndarray:
    """Sum of a shape (a function of seconds from the beat) placed at every beat: (time,)."""
    first = np.ceil((beats - before) * blocks.rate).astype(np.int64)
    samples = first[:, None] + np.arange(math.floor((before + after) * blocks.rate))
    values = shape(samples / blocks.rate - beats[:, None]) * np.reshape(size, (-1, 1))
    inside = (samples >= 0) & (samples < blocks.samples)
    return np.bincount(samples[inside], weights=values[inside], minlength=blocks.samples)


# P, Q, R, S and T: centre and width in seconds, height in mV; a complex as in lead II
_WAVES = ((-0.17, 0.025, 0.12), (-0.028, 0.010, -0.12), (0.0, 0.011, 1.0), (0.028, 0.010, -0.2), (0.24, 0.045, 0.28))


def _heartbeat(seconds: np.ndarray) -> np.ndarray:
    return sum((height * np.exp(-0.5 * ((seconds - at) / width) ** 2) for at, width, height in _WAVES), np.zeros(1))


def _ecg(feature: np.ndarray, blocks: _Blocks, background: float, rng: np.random.Generator) -> np.ndarray:
    beats = _beats(_PERIOD * np.exp(-GAIN["ecg"] * feature), blocks, rng)
    block = np.floor(beats / blocks.seconds)
    # the first and last beat of a trial keep their place: the mean interval of the trial is not touched
    inner = np.diff(block, prepend=-1) + np.diff(block, append=np.inf) == 0
    respiration = np.sin(2 * np.pi * (0.25 * beats + rng.random())) + 0.5 * rng.standard_normal(len(beats))
    depth = 0.015 * np.exp(0.4 * rng.standard_normal(blocks.count))
    places = np.minimum(block.astype(np.int64), blocks.count - 1)
    beats = beats + background * inner * depth[places] * np.clip(respiration, -2, 2)
    signal = _placed(_heartbeat, 0.3, 0.45, beats, blocks)
    wander = 0.08 * background * _noise(rng, 1, blocks, 0.05, 0.4)[0]
    return (signal + wander + 0.01 * rng.standard_normal(blocks.samples))[None]


def scr_template(trial_seconds: float, rate: float) -> np.ndarray:
    """Return the skin conductance response that a trial contains, with a peak of 1.

    Bateman's function (rise 0.75 s, decay 1.5 s, onset 0.75 s), faded out to nothing before the trial ends; one per
    full 8 s of the trial, and quicker in trials shorter than that.

    Parameters
    ----------
    trial_seconds : float
        Length of a trial.
    rate : float
        Sampling rate in Hz.

    Returns
    -------
    ndarray of shape (n_times,), float64
        ``trial_seconds * rate`` samples.
    """
    slot = trial_seconds / max(1, int(trial_seconds // _SLOT_SECONDS))
    pace = min(1.0, slot / _SLOT_SECONDS)
    time = np.arange(round(trial_seconds * rate)) / rate % slot
    since = np.maximum(time - 0.75 * pace, 0.0) / pace
    fade = np.clip((slot - time) / pace, 0.0, 1.0)
    response = (np.exp(-since / 1.5) - np.exp(-since / 0.75)) * (0.5 - 0.5 * np.cos(np.pi * fade))
    return response / response.max()


def _spontaneous(seconds: np.ndarray) -> np.ndarray:
    since = np.maximum(seconds, 0.0)
    return 4 * (np.exp(-since / 2.0) - np.exp(-since))


def _eda(feature: np.ndarray, blocks: _Blocks, background: float, rng: np.random.Generator) -> np.ndarray:
    times = rng.uniform(0, blocks.duration, rng.poisson(blocks.duration * 6 / 60))
    sizes = 0.2 * np.exp(0.6 * rng.standard_normal(len(times)))
    drift = 0.25 * _noise(rng, 1, blocks, 0.005, 0.1)[0]
    other = background * (_placed(_spontaneous, 0.0, 10.0, times, blocks, sizes) + drift)
    other = other + 5.0 * np.exp(0.3 * rng.standard_normal()) + 0.003 * rng.standard_normal(blocks.samples)
    template = scr_template(blocks.seconds, blocks.rate)
    # what looks like a response in the rest of the signal is counted as part of the response, so that the amplitude
    # that least squares finds (besides a constant and a slope) is the feature's
    design = np.stack([template, np.ones(blocks.length), np.linspace(-1, 1, blocks.length)], axis=1)
    already = blocks.cut(other[None])[0] @ np.linalg.pinv(design)[0]
    amplitude = 0.5 * np.exp(GAIN["eda"] * feature) - already
    return other[None] + (amplitude[:, None] * template).reshape(1, -1)


def _pulse(seconds: np.ndarray) -> np.ndarray:
    systolic = np.exp(-0.5 * ((seconds - 0.18) / 0.07) ** 2)
    return systolic + 0.35 * np.exp(-0.5 * ((seconds - 0.43) / 0.08) ** 2)


def _bvp(feature: np.ndarray, blocks: _Blocks, background: float, rng: np.random.Generator) -> np.ndarray:
    period = _PERIOD * np.exp(0.06 * background * rng.standard_normal(blocks.count))
    pulses = _placed(_pulse, 0.1, 0.75, _beats(period, blocks, rng), blocks)
    wave = pulses - pulses.mean() + background * 0.1 * _noise(rng, 1, blocks, 0.1, 0.4)[0]
    return _scaled(wave[None], math.log(40.0) - GAIN["bvp"] * feature[None], blocks)


def _resp(feature: np.ndarray, blocks: _Blocks, background: float, rng: np.random.Generator) -> np.ndarray:
    frequency = 0.28 * np.exp(0.12 * background * rng.standard_normal(blocks.count))
    phase = np.cumsum(np.repeat(frequency, blocks.length)) / blocks.rate + rng.random()
    breath = np.sin(2 * np.pi * phase) + 0.15 * background * _noise(rng, 1, blocks, 0.05, 1.5)[0]
    return _scaled(breath[None], GAIN["resp"] * feature[None], blocks)


def _temp(feature: np.ndarray, blocks: _Blocks, background: float, rng: np.random.Generator) -> np.ndarray:
    carrier = 0.1 * background * _noise(rng, 1, blocks, 0.005, 0.1) + 0.01 * rng.standard_normal((1, blocks.samples))
    return _levelled(carrier, 33.0 - GAIN["temp"] * feature[None], blocks)


def _acc(feature: np.ndarray, blocks: _Blocks, background: float, rng: np.random.Generator) -> np.ndarray:
    gravity = rng.standard_normal((3, 1))
    movement = _noise(rng, 3, blocks, 0.5, 8.0)
    size = math.log(0.015) + GAIN["acc"] * feature + background * _unlike(rng, 3, blocks)
    return gravity / np.linalg.norm(gravity) + _scaled(movement, size, blocks)


_ENCODERS: dict[str, Callable[[np.ndarray, _Blocks, float, np.random.Generator], np.ndarray]] = {
    "eeg": _eeg,
    "ecg": _ecg,
    "eda": _eda,
    "bvp": _bvp,
    "resp": _resp,
    "temp": _temp,
    "acc": _acc,
}


# ------------------------------------------------------------------------------------------------------- recordings


def simulate(resolved: Cohort, subject: int) -> Recording:
    """Generate the recording of one subject.

    Parameters
    ----------
    resolved : Cohort
        From :func:`cohort`.
    subject : int
        Number of the subject, from 0.

    Returns
    -------
    Recording
        Signals in the units of `limbeck.recording.UNITS`; the event ``rest`` first, then one event per trial, named
        ``calm`` or ``aroused`` after the observed label; the trace ``arousal``.
    """
    latents = draw_latents(resolved, subject)
    signals = {}
    for name, modality in resolved.modalities.items():
        blocks = _Blocks(resolved.blocks, resolved.trial_seconds, RATES[name])
        rng = _generator(resolved.seed, subject, _streams(name)[1])
        data = _ENCODERS[name](latents.features[name], blocks, modality.background, rng)
        signals[name] = Signal(np.asarray(data, dtype=np.float32), RATES[name], CHANNELS[name], UNITS[name])
    return Recording(
        subject=_subject_name(subject),
        signals=signals,
        events=_events(resolved, latents.label),
        traces={"arousal": _arousal_trace(resolved, latents.arousal)},
    )


def _subject_name(subject: int) -> str:
    return f"S{subject + 1:03d}"


def _events(resolved: Cohort, label: np.ndarray) -> tuple[Event, ...]:
    rest = (Event(CALIBRATION, 0.0, resolved.rest_seconds),) if resolved.rest_trials else ()
    starts = resolved.rest_seconds + resolved.trial_seconds * np.arange(resolved.trials)
    trials = zip(label[resolved.rest_trials :].tolist(), starts.tolist(), strict=True)
    return rest + tuple(Event(STATES[code], start, start + resolved.trial_seconds) for code, start in trials)


def _arousal_trace(resolved: Cohort, arousal: np.ndarray) -> Trace:
    blocks = _Blocks(resolved.blocks, resolved.trial_seconds, 1 / _GRID_SECONDS)
    return Trace(blocks.times, np.repeat(arousal, blocks.length).astype(np.float32))


@dataset(
    "simulated",
    info=DatasetInfo(
        title="A cohort with a known truth: calm and aroused trials",
        modalities=tuple(name for name in MODALITIES if name in RATES),
        subjects=24,
        licence="BSD-3-Clause",
        citation="Made by Limbeck; the model is in the documentation of limbeck.datasets.simulated.",
        url="",
        access="simulated",
        checked="Its ceilings against Monte Carlo, its signals against models that reach them.",
    ),
)
def simulated(
    root: Path | None = None,
    *,
    preset: str | None = None,
    strength: float = 1.0,
    subjects: int | None = None,
    trials: int | None = None,
    trial_seconds: float | None = None,
    rest_seconds: float | None = None,
    balance: float | None = None,
    label_noise: float | None = None,
    separation: float | None = None,
    latent_spread: float | None = None,
    seed: int | None = None,
    modalities: Mapping[str, Mapping[str, float] | None] | list[str] | None = None,
) -> Corpus:
    """Make a cohort of which the truth is known: how much each sensor tells, and the best score that allows.

    A recording per subject: a rest of neutral trials, then calm and aroused trials back to back in random order.
    Windows should be whole trials (``length`` and ``hop`` of `trial_seconds`): that is what the ceilings speak of.

    Parameters
    ----------
    root : Path, optional
        Not used; nothing is read from disk.
    preset : str, optional
        ``privileged_helps``: EEG tells the state, the wristband little, and few subjects carry labels;
        ``privileged_useless``: EEG tells nothing, all subjects carry labels; ``no_signal``: nothing tells anything.
        What is given besides takes precedence. `PRESETS` states the regimes.
    strength : float
        Factor on what every modality tells.
    subjects, trials : int
        Number of subjects (24) and of trials of each (40).
    trial_seconds, rest_seconds : float
        Length of a trial (8) and of the rest before the first (16, or two trials); a multiple of a trial.
    balance : float
        Share of aroused trials (0.5).
    label_noise : float
        Share of trials that carry the wrong label (0).
    separation, latent_spread : float
        Distance between the mean arousal of the two states (2) and spread within a state (0.5).
    seed : int
        What everything is drawn from (0); subject k is the same for any number of subjects.
    modalities : mapping or list
        Names among eeg, ecg, eda, bvp, resp, temp, acc, each with ``informative``, ``noise``, ``shift`` (between
        subjects) and ``background`` (variation that carries nothing). With a preset a mapping changes its modalities
        and adds to them; a list selects. Without either: eeg, ecg, eda.

    Returns
    -------
    Corpus
        Generated when read. ``truth`` holds ``ceilings`` (the best balanced accuracy for every set of modalities, as
        ``"ecg+eda"``), ``options``, ``preset``, ``regime`` and ``protocol``.

    Raises
    ------
    StudyError
        With every mistake in the options.
    """
    resolved = cohort(
        preset,
        strength=strength,
        subjects=subjects,
        trials=trials,
        trial_seconds=trial_seconds,
        rest_seconds=rest_seconds,
        balance=balance,
        label_noise=label_noise,
        separation=separation,
        latent_spread=latent_spread,
        seed=seed,
        modalities=modalities,
    )
    options = asdict(resolved)
    # what a subject is made of does not depend on how many there are: its cached windows serve every cohort size
    own = {name: value for name, value in options.items() if name != "subjects"}
    sources = tuple(
        Source(
            subject=_subject_name(number),
            read=functools.partial(simulate, resolved, number),
            options=own | {"number": number},
            modules=(__name__,),
        )
        for number in range(resolved.subjects)
    )
    described = PRESETS[preset] if preset is not None else {"regime": "options of the user", "protocol": {}}
    truth = {
        "preset": preset,
        "regime": described["regime"],
        "protocol": copy.deepcopy(described["protocol"]),
        "options": options,
        "ceilings": ceilings(resolved),
    }
    return Corpus(name="simulated", sources=sources, truth=truth)
