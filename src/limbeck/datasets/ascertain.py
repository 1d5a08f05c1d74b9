"""ASCERTAIN: ECG, skin conductance and a frontal EEG sensor while 58 people watched 36 film clips.

Subramanian et al., ASCERTAIN: Emotion and Personality Recognition Using Commercial Sensors, IEEE Transactions on
Affective Computing 9(2):147-160, 2018. As distributed: ``ASCERTAIN_Raw/ECGData/Movie_P01/ECG_Clip1.mat`` (and GSR, EEG,
EMO) holds the recordings, ``ASCERTAIN_Features/`` the authors' features (``Dt_ECGFeatures.mat``, ...), the ratings
(``Dt_SelfReports.mat``), the personality scores and the order in which each subject saw the clips.

**Which rating belongs to which clip is not settled by the description.** Published code disagrees on whether the
numbers of files, the rows of features and the columns of ratings count clips or places in the presentation. The option
`clip_order` says which is meant, and :func:`check_order` compares the possibilities with what the files themselves say.

=================== ==========================================================================
`ascertain`         the raw recordings, a source per subject and clip
`read_features`     the authors' features, matched with clips and ratings
`read_labels`       ratings, personality, order of presentation
`check_order`       which clip order the ratings and the clocks of the files speak for
=================== ==========================================================================
"""

from __future__ import annotations

import datetime
import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, locate, matlab
from limbeck.datasets.edf import to_unit
from limbeck.datasets.files import chosen, find_folder, is_inside, sources_inside, visible
from limbeck.datasets.numbers import shown as quoted
from limbeck.datasets.tables import read_rows
from limbeck.datasets.validating import outcome
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import UNITS, Corpus, Event, LeftOut, Recording, Signal, Source

__all__ = [
    "CLIP_ORDERS",
    "PERSONALITY",
    "RATINGS",
    "WORST_QUALITY",
    "Features",
    "Labels",
    "OrderCheck",
    "ascertain",
    "check_order",
    "looks_like",
    "read_features",
    "read_labels",
]

logger = logging.getLogger(__name__)

ClipOrder = Literal["clip_id", "presentation_features", "presentation_ratings"]

CLIP_ORDERS = ("clip_id", "presentation_features", "presentation_ratings")
"""What numbers count: clips everywhere; places in files and rows of features; places in the columns of ratings."""

RATINGS = {
    "arousal": (0.0, 6.0),
    "valence": (-3.0, 3.0),
    "engagement": (0.0, 6.0),
    "liking": (0.0, 6.0),
    "familiarity": (0.0, 6.0),
}
"""The self-reports in the order of ``Ratings``, each with its scale."""

PERSONALITY = ("extraversion", "agreeableness", "conscientiousness", "emotional_stability", "openness")
"""The personality scores in the order of ``Personality``, from 1 to 7."""

WORST_QUALITY = {"ecg": 4.0, "eda": 4.0, "eeg": 3.0}
"""The worst quality that is usually kept, from 1 (best) to 5 (worst); 6 means that nothing was recorded."""

_MODULES = tuple(f"limbeck.datasets.{name}" for name in ("ascertain", "matlab", "edf", "files"))
_PREFIXES = {"ecg": "ECG", "eda": "GSR", "eeg": "EEG"}  # EMO, from video, has no documented layout
_SUBJECT = re.compile(r"Movie_P0*(\d{1,3})", re.IGNORECASE)
_SUBJECTS, _CLIPS = 58, 36
_DEPTH = 2  # folders between the root and what is looked for: ASCERTAIN/ASCERTAIN_Raw/ECGData

_ECG_MANY = 6  # columns of the usual ECG file; those of the first subjects have fewer
_ECG_LEADS = {"usual": (4, 5), "early": (1, 2)}  # columns, from 0
_EEG_ROWS = 8
_NEAR = 0.02  # of a rate: nearer to a rate that devices have than this, and it is that rate
_DEVICE_RATES = (4, 8, 10, 16, 20, 25, 32, 50, 51.2, 64, 100, 128, 200, 250, 256, 500, 512, 1000)
_GAP = 0.5  # seconds without a sample that are noted
_DRIFT = 0.05  # of the stated rate, by which time stamps may differ without a note
_FEW = 5  # subjects, of whom fewer than this cannot show that ratings contradict an order
_CLEAR = 3.0  # standard errors by which the ratings have to prefer one order before it is called the right one


# ---------------------------------------------------------------------------------------------------------------------
# Finding the folders
# ---------------------------------------------------------------------------------------------------------------------


def _find(root: Path, fits: Callable[[Path], bool]) -> Path | None:
    """Return the first folder that fits, nearest to the root first, by name within one level."""
    level = [root] if root.is_dir() else []
    for _ in range(_DEPTH + 1):
        found = next((folder for folder in level if fits(folder)), None)
        if found is not None:
            return found
        level = [child for folder in level for child in visible(folder) if child.is_dir() and is_inside(child, root)]
    return None


def _child(folder: Path, name: str) -> Path | None:
    """Return what lies in a folder under a name, whatever its capitals."""
    return next((child for child in visible(folder) if child.name.lower() == name.lower()), None)


def _holds_raw(folder: Path) -> bool:
    return any(_child(folder, f"{prefix}Data") is not None for prefix in _PREFIXES.values())


def _holds_features(folder: Path) -> bool:
    return any(re.fullmatch(r"Dt_\w+\.mat", child.name, re.IGNORECASE) for child in visible(folder))


def _holds_subjects(folder: Path) -> bool:
    return any(_SUBJECT.fullmatch(child.name) for child in visible(folder))


def looks_like(path: Path) -> bool:
    """Tell whether a folder holds ASCERTAIN's recordings as they are distributed."""
    home = _find(path, _holds_raw)
    if home is None:
        return False
    places = (_child(home, f"{prefix}Data") for prefix in _PREFIXES.values())
    return any(place is not None and find_folder(place, _holds_subjects) is not None for place in places)


def _spelling(name: str) -> str:
    match = re.fullmatch(r"(?:Movie_)?P?0*(\d{1,3})", name, re.IGNORECASE)
    return f"P{int(match[1]):02d}" if match else name


def _index(subject: str) -> int:
    return int(subject[1:]) - 1


def _outside(place: Path) -> LeftOut:
    why = f"a link that leads out of the data set's folder is not followed; pass the real folder ({place.resolve()})"
    return LeftOut(str(place), why)


def _clip_files(home: Path, prefix: str, root: Path) -> tuple[dict[tuple[str, int], Path], list[LeftOut]]:
    """Return the files of one modality by subject and number, by names only, and the links that lead out."""
    place = _child(home, f"{prefix}Data")
    if place is not None and not is_inside(place, root):
        return {}, [_outside(place)]
    folder = None if place is None else find_folder(place, _holds_subjects)
    name = re.compile(rf"{prefix}_Clip0*(\d{{1,3}})\.mat", re.IGNORECASE)
    files: dict[tuple[str, int], Path] = {}
    left_out: list[LeftOut] = []
    for child in [] if folder is None else visible(folder):
        if not (_SUBJECT.fullmatch(child.name) and child.is_dir()):
            continue
        if not is_inside(child, root):
            left_out.append(_outside(child))
            continue
        inner = find_folder(child, lambda place: any(name.fullmatch(file.name) for file in visible(place)))
        for file in [] if inner is None else visible(inner):
            number = name.fullmatch(file.name)
            if number is not None:
                files[_spelling(child.name), int(number[1])] = file
    return files, left_out


# ---------------------------------------------------------------------------------------------------------------------
# Labels
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Labels:
    """What is known about subjects and clips besides the recordings.

    Parameters
    ----------
    ratings : ndarray of shape (5, n_subjects, n_clips), float64, optional
        As the file has them, in the order of `RATINGS`; NaN where missing or outside the scale.
    personality : ndarray of shape (n_subjects, 5), float64, optional
        In the order of `PERSONALITY`.
    permutation : ndarray of shape (n_subjects, n_clips), int64, optional
        From 1: which clip each subject saw first, second, ...; a row of zeros where the file's row is no order.
    left_out : tuple of LeftOut
        Tables and values that could not be used.
    """

    ratings: np.ndarray | None = None
    personality: np.ndarray | None = None
    permutation: np.ndarray | None = None
    left_out: tuple[LeftOut, ...] = ()

    def shown(self, subject: str) -> np.ndarray | None:
        """Return the clips (from 1) in the order in which a subject saw them, None where it is not known."""
        if self.permutation is None or _index(subject) >= len(self.permutation):
            return None
        row = self.permutation[_index(subject)]
        return row if row.all() else None


def _variable(file: Path, matches: str, what: str) -> Any:
    """Return the first variable of a MATLAB file whose name starts as expected."""
    names = matlab.names(file)
    name = next((name for name in names if name.lower().startswith(matches.lower())), None)
    if name is None:
        raise ReadError(file, found=f"the variables {', '.join(names) or 'none'}", expected=f"'{matches}': {what}")
    return matlab.load(file, names=(name,))[name]


def _numbers(values: Any, file: Path, where: str, what: str) -> np.ndarray:
    """Return real numbers as float64; ±Inf, which stands for a failed division, becomes NaN."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ReadError(file, where=where, found=f"values of type {array.dtype}", expected=what)
    numbers = array.astype(np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _read_ratings(file: Path) -> tuple[np.ndarray, list[LeftOut]]:
    what = "self-reports of shape (5, subject, clip)"
    ratings = _numbers(_variable(file, "Ratings", what), file, "Ratings", what)
    if ratings.ndim != 3 or len(ratings) != len(RATINGS):
        raise ReadError(file, where="Ratings", found=f"the shape {ratings.shape}", expected=what)
    left_out = []
    for row, (name, (low, high)) in zip(ratings, RATINGS.items(), strict=True):
        outside = (row < low) | (row > high)  # NaN is neither
        if outside.any():
            subject, clip = np.argwhere(outside)[0]
            why = f"found {row[subject, clip]:g} and {outside.sum() - 1} more; expected {low:g} to {high:g}; not used"
            left_out.append(LeftOut(f"{file}: {name} of P{subject + 1:02d}, column {clip + 1}", why))
            row[outside] = np.nan
    return ratings, left_out


def _read_personality(file: Path) -> tuple[np.ndarray, list[LeftOut]]:
    what = "scores of shape (subject, 5)"
    scores = _numbers(_variable(file, "Personality", what), file, "Personality", what)
    if scores.ndim != 2 or scores.shape[1] != len(PERSONALITY):
        raise ReadError(file, where="Personality", found=f"the shape {scores.shape}", expected=what)
    return scores, []


def _read_permutation(file: Path) -> tuple[np.ndarray, list[LeftOut]]:
    what = "clips from 1 in the order shown, of shape (subject, clip)"
    order = _numbers(_variable(file, "PermutationList", what), file, "PermutationList", what)
    if order.ndim != 2:
        raise ReadError(file, where="PermutationList", found=f"the shape {order.shape}", expected=what)
    wrong = (np.sort(order, axis=1) != np.arange(1, order.shape[1] + 1)).any(axis=1)
    left_out = [
        LeftOut(f"{file}: PermutationList, row {row + 1}", f"not every clip once; P{row + 1:02d} has no known order")
        for row in np.flatnonzero(wrong)
    ]
    return np.where(wrong[:, None], 0, order).astype(np.int64), left_out


def read_labels(root: str | Path) -> Labels:
    """Read ratings, personality and the order of presentation.

    Parameters
    ----------
    root : path-like
        ``ASCERTAIN_Features``, or a folder that holds it.

    Returns
    -------
    Labels
        A table that is missing or unreadable is None, and named in `left_out`.
    """
    root = Path(root)
    folder = _find(root, _holds_features)
    tables: dict[str, np.ndarray | None] = {}
    left_out: list[LeftOut] = []
    readers: dict[str, tuple[str, Callable[[Path], tuple[np.ndarray, list[LeftOut]]]]] = {
        "ratings": ("Dt_SelfReports.mat", _read_ratings),
        "personality": ("Dt_Personality.mat", _read_personality),
        "permutation": ("Dt_Order_Movie.mat", _read_permutation),
    }
    for name, (file_name, read) in readers.items():
        file = None if folder is None else _child(folder, file_name)
        tables[name] = None
        if file is None:
            why = f"there is no such file below {root}; the recordings are used without {name}"
            left_out.append(LeftOut(file_name, f"{why}. Give the folder that holds ASCERTAIN_Features too."))
        elif not is_inside(file, root):
            left_out.append(LeftOut(str(file), "a link that leads out of the data set's folder is not followed"))
        else:
            try:
                tables[name], notes = read(file)
                left_out += notes
            except ReadError as error:
                left_out.append(LeftOut(str(file), f"{error} The recordings are used without {name}."))
    return Labels(**tables, left_out=tuple(left_out))


def _read_quality(file: Path) -> tuple[dict[tuple[str, int], dict[str, float]], list[LeftOut]]:
    """Read the quality of each modality by subject and number of the files; a row without numbers is named."""
    columns = {prefix.lower(): modality for modality, prefix in _PREFIXES.items()}
    quality: dict[tuple[str, int], dict[str, float]] = {}
    left_out: list[LeftOut] = []
    for number, row in read_rows(file, needed=("subject", "clip")):
        try:
            key = (_spelling(row["subject"]), int(row["clip"]))
            values = {name: float(row[column]) for column, name in columns.items() if row.get(column)}
        except ValueError:
            found = ", ".join(quoted(cell) for cell in list(row.values())[:5])
            left_out.append(LeftOut(f"{file}, row {number}", f"found {found}; expected numbers; the row is not used"))
        else:
            quality[key] = values
    return quality, left_out


def _too_poor(key: tuple[str, int], quality: Mapping[str, float], worst: Mapping[str, float]) -> dict[str, LeftOut]:
    """Return, by modality, what of a clip is worse than is kept."""
    subject, number = key
    return {
        name: LeftOut(
            f"{subject}, {_PREFIXES[name]}_Clip{number}.mat", f"quality {value:g}, worse than {worst[name]:g}; not used"
        )
        for name, value in quality.items()
        if not value <= worst.get(name, math.inf)
    }


# ---------------------------------------------------------------------------------------------------------------------
# The order of clips
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Clip:
    """What a number stands for: the clip, its place in the presentation and its column of ratings, all from 0."""

    clip: int
    place: int | None
    column: int


def _resolve(number: int, shown: np.ndarray | None, clip_order: str) -> _Clip:
    """Return what the number (from 1) of a file or of a row of features stands for.

    Raises
    ------
    DataError
        The order of presentation is needed and not known, or does not have that number.
    """
    if clip_order != "clip_id" and shown is None:
        raise DataError(f"clip_order='{clip_order}' needs the order of presentation (Dt_Order_Movie.mat).")
    if shown is None:
        return _Clip(number - 1, None, number - 1)
    if not 1 <= number <= len(shown):
        raise DataError(f"There is no clip {number} among the {len(shown)} of the order of presentation.")
    clip = int(shown[number - 1]) if clip_order == "presentation_features" else number
    place = int(np.flatnonzero(shown == clip)[0])
    return _Clip(clip - 1, place, place if clip_order == "presentation_ratings" else clip - 1)


def _ratings_of(labels: Labels, subject: str, column: int) -> dict[str, float]:
    """Return the ratings and the personality of a subject for one column of ratings, without those missing."""
    row = _index(subject)
    values: dict[str, float] = {}
    if labels.ratings is not None and row < labels.ratings.shape[1] and column < labels.ratings.shape[2]:
        values |= dict(zip(RATINGS, labels.ratings[:, row, column].tolist(), strict=True))
    if labels.personality is not None and row < len(labels.personality):
        values |= dict(zip(PERSONALITY, labels.personality[row].tolist(), strict=True))
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _refuse_order(clip_order: str) -> None:
    if clip_order not in CLIP_ORDERS:
        raise DataError(f"There is no clip_order '{clip_order}'.{did_you_mean(clip_order, CLIP_ORDERS)}")


@dataclass(frozen=True)
class OrderCheck:
    """What the files say about the order of clips.

    Parameters
    ----------
    contrasts : mapping of str to (float, float)
        Of ``"clip_id"`` (columns of ratings count clips) and ``"presentation_ratings"`` (they count places): mean over
        subjects of the valence of the first half of the clips (chosen to be pleasant) less that of the second half
        (unpleasant), and its standard error. In the wrong order it is near 0.
    files_by_clip, files_by_place : int
        Subjects whose ECG clocks show that the numbers of files count clips, or places in the presentation.
    suggests : tuple of str
        The clip orders of the raw files that everything found agrees with; empty where the files contradict each other.
    """

    contrasts: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    files_by_clip: int = 0
    files_by_place: int = 0
    suggests: tuple[str, ...] = ()


def _contrast(valence: np.ndarray) -> tuple[float, float]:
    """Return mean and standard error over subjects of first-half less second-half valence, rows being subjects."""
    half = valence.shape[1] // 2
    complete = np.isfinite(valence[:, :half]).any(axis=1) & np.isfinite(valence[:, half:]).any(axis=1)
    if complete.sum() < 2:
        return math.nan, math.nan
    kept = valence[complete]
    differences = np.nanmean(kept[:, :half], axis=1) - np.nanmean(kept[:, half:], axis=1)
    return float(differences.mean()), float(differences.std(ddof=1) / math.sqrt(len(differences)))


def _contrasts(labels: Labels) -> dict[str, tuple[float, float]]:
    if labels.ratings is None:
        return {}
    valence = labels.ratings[list(RATINGS).index("valence")]
    contrasts = {"clip_id": _contrast(valence)}
    order = labels.permutation
    if order is not None and order.shape == valence.shape:
        known = order.all(axis=1)
        # argsort of the order shown is each clip's place.
        by_clip = np.take_along_axis(valence[known], np.argsort(order[known], axis=1), axis=1)
        contrasts["presentation_ratings"] = _contrast(by_clip)
    return contrasts


def _preferred(contrasts: Mapping[str, tuple[float, float]]) -> str:
    """Return the order of ratings that is clearly the right one, ``""`` where neither is."""
    clear = {name: mean for name, (mean, error) in contrasts.items() if mean > _CLEAR * error}
    best = max(clear, key=lambda name: clear[name], default="")
    rivals = [mean for name, (mean, _) in contrasts.items() if name != best and math.isfinite(mean)]
    return best if best and all(mean < clear[best] / 2 for mean in rivals) else ""


def _seconds(file: Path) -> float:
    """Return the clock of an ECG file in seconds, NaN where it has none that can be read."""
    try:
        clock = np.asarray(_variable(file, "timeECG", "the clock")).ravel().astype(np.float64)
        year, month, day, hour, minute = (int(value) for value in clock[:5])
        start = datetime.datetime(year, month, day, hour, minute, tzinfo=datetime.UTC)
        return start.timestamp() + float(clock[5])
    except (ReadError, ValueError, TypeError, IndexError, OverflowError) as error:
        logger.debug("No clock in %s: %s", file, error)
        return math.nan


def check_order(root: str | Path, *, most_subjects: int = 58) -> OrderCheck:
    """Compare the possible orders of clips with the ratings and with the clocks in the ECG files.

    Two things are asked that do not depend on each other. Do the columns of ratings count clips or places? The first
    half of the clips was chosen to be pleasant and the second half unpleasant, which only the right order shows. Do the
    numbers of raw files count clips or places? The clocks (``timeECG``) say when each file was recorded: they rise with
    the number where it counts places, and follow ``PermutationList`` where it counts clips. What the rows of the
    *features* count cannot be seen in either.

    Parameters
    ----------
    root : path-like
        The folder that holds ``ASCERTAIN_Raw`` and ``ASCERTAIN_Features``; of each what is there is used.
    most_subjects : int
        Subjects whose clocks are read.

    Returns
    -------
    OrderCheck
    """
    root = Path(root)
    labels = read_labels(root)
    contrasts = _contrasts(labels)
    home = _find(root, _holds_raw)
    files = {} if home is None else _clip_files(home, "ECG", root)[0]
    by_clip = by_place = 0
    for subject in sorted({subject for subject, _ in files})[:most_subjects]:
        shown = labels.shown(subject)
        clocks = {number: _seconds(file) for (owner, number), file in files.items() if owner == subject}
        clocks = {number: seconds for number, seconds in clocks.items() if math.isfinite(seconds)}
        in_time = sorted(clocks, key=lambda number: clocks[number])
        if shown is None or len(in_time) < 3 or sorted(in_time) == [n for n in shown.tolist() if n in clocks]:
            continue  # nothing to tell the two apart by
        by_place += in_time == sorted(in_time)
        by_clip += in_time == [number for number in shown.tolist() if number in clocks]
    return OrderCheck(contrasts, by_clip, by_place, _suggested(_preferred(contrasts), by_clip, by_place))


def _suggested(ratings: str, by_clip: int, by_place: int) -> tuple[str, ...]:
    """Return the clip orders that agree with what the ratings prefer and what the clocks show."""
    if by_clip and by_place:
        return ()
    fitting = set(CLIP_ORDERS)
    if ratings == "clip_id":
        fitting -= {"presentation_ratings"}
    elif ratings == "presentation_ratings":
        fitting &= {"presentation_ratings"}
    if by_clip:
        fitting -= {"presentation_features"}
    elif by_place:
        fitting &= {"presentation_features"}
    return tuple(order for order in CLIP_ORDERS if order in fitting)


def _warn_about_order(labels: Labels, clip_order: str) -> None:
    """Log which order is taken, and warn where the ratings speak against it."""
    contrasts = _contrasts(labels)
    taken = "presentation_ratings" if clip_order == "presentation_ratings" else "clip_id"
    preferred = _preferred(contrasts)
    shown = ", ".join(f"{name} {mean:+.2f} ± {error:.2f}" for name, (mean, error) in contrasts.items())
    if taken in contrasts and preferred != taken:
        logger.warning(
            "ASCERTAIN is read with clip_order='%s', but its ratings do not bear that out: valence of the pleasant "
            "less the unpleasant clips is %s. Use check_order before trusting any label.",
            clip_order,
            shown,
        )
    else:
        logger.info("ASCERTAIN is read with clip_order='%s'; valence contrast: %s.", clip_order, shown or "no ratings")


# ---------------------------------------------------------------------------------------------------------------------
# Raw recordings
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """What the description leaves open about the raw files."""

    ecg_columns: tuple[int, int] | None
    gsr_column: int
    ecg_rate: float
    gsr_rate: float | None
    eeg_rate: float
    ecg_unit: str
    gsr_unit: str
    eeg_unit: str

    def mistakes(self) -> list[str]:
        """Return a sentence per value that cannot be."""
        found = []
        units = {
            "ecg": ("ecg_unit", self.ecg_unit),
            "eda": ("gsr_unit", self.gsr_unit),
            "eeg": ("eeg_unit", self.eeg_unit),
        }
        for modality, (name, unit) in units.items():
            if to_unit(np.ones(1), modality, unit) is None:
                found.append(f"{name} needs a unit that becomes {UNITS[modality]}; found '{unit}'.")
        for name, rate in {"ecg_rate": self.ecg_rate, "gsr_rate": self.gsr_rate, "eeg_rate": self.eeg_rate}.items():
            if rate is not None and not 0 < rate < math.inf:
                found.append(f"{name} needs a rate in Hz; found {rate}.")
        if min((self.gsr_column, *(self.ecg_columns or ()))) < 0:
            found.append("Columns count from 0; found a negative one.")
        return found


def _matrix(file: Path, name: str, what: str) -> np.ndarray:
    """Return a variable as a matrix of float64 with NaN for what is not finite."""
    values = _numbers(_variable(file, name, what), file, name, what)
    if values.ndim != 2 or values.size == 0:
        raise ReadError(file, where=name, found=f"the shape {values.shape}", expected=what)
    return values


def _converted(rows: np.ndarray, modality: str, unit: str) -> np.ndarray:
    values = to_unit(rows, modality, unit)
    if values is None:  # refused with the options
        raise DataError(f"The unit '{unit}' of {_PREFIXES[modality]} does not become {UNITS[modality]}.")
    with np.errstate(over="ignore"):  # what float32 cannot hold is no sample
        converted = np.ascontiguousarray(values, dtype=np.float32)
    converted[np.isinf(converted)] = np.nan
    return converted


def _stamped_rate(stamps: np.ndarray, file: Path) -> tuple[float, list[LeftOut]]:
    """Return the rate in Hz that time stamps in ms stand for, and notes on gaps.

    Time stamps are whole milliseconds, so their spread over the file says more than any step between two.
    """
    steps = np.diff(stamps)
    if len(steps) == 0 or not np.isfinite(stamps).all() or (steps < 0).any() or stamps[-1] <= stamps[0]:
        found = "time stamps that do not rise" if len(steps) else "a single sample"
        advice = "Give the rate as an option if the samples are good."
        raise ReadError(file, where="column 1", found=found, expected="rising time stamps in ms", advice=advice)
    rate = 1000.0 * len(steps) / float(stamps[-1] - stamps[0])
    nearest = min(_DEVICE_RATES, key=lambda known: abs(known - rate))
    longest = float(steps.max()) / 1000
    gap = longest > max(_GAP, 10 / rate)
    notes = [LeftOut(f"{file}: time stamps", f"a gap of {longest:.2f} s; read as if there were none")] if gap else []
    return (float(nearest) if abs(nearest - rate) <= _NEAR * nearest else rate), notes


def _read_ecg(file: Path, layout: _Layout) -> tuple[Signal, list[LeftOut]]:
    table = _matrix(file, "Data_ECG", "samples in rows, six columns (of the first subjects fewer)")
    columns = layout.ecg_columns
    if columns is None:
        columns = _ECG_LEADS["usual" if table.shape[1] >= _ECG_MANY else "early"]
    if max(columns) >= table.shape[1]:
        found, expected = f"{table.shape[1]} columns", f"the leads in columns {columns} (from 0)"
        raise ReadError(file, where="Data_ECG", found=found, expected=expected)
    notes: list[LeftOut] = []
    try:
        stamped, notes = _stamped_rate(table[:, 0], file)
    except ReadError as error:  # the stated rate serves; stamps only check it
        stamped, notes = layout.ecg_rate, [LeftOut(f"{file}: time stamps", f"{error.found}; {layout.ecg_rate:g} Hz")]
    if abs(stamped - layout.ecg_rate) > _DRIFT * layout.ecg_rate:
        why = f"{stamped:.4g} Hz by the time stamps, {layout.ecg_rate:g} Hz by the description, which is used"
        notes.append(LeftOut(f"{file}: rate", why))
    data = _converted(table[:, list(columns)].T, "ecg", layout.ecg_unit)
    return Signal(data, layout.ecg_rate, ("A", "B"), UNITS["ecg"]), notes


def _read_gsr(file: Path, layout: _Layout) -> tuple[Signal, list[LeftOut]]:
    table = _matrix(file, "Data_GSR", "samples in rows, five columns")
    if layout.gsr_column >= table.shape[1]:
        found, expected = f"{table.shape[1]} columns", f"skin conductance in column {layout.gsr_column} (from 0)"
        raise ReadError(file, where="Data_GSR", found=found, expected=expected)
    rate, notes = (layout.gsr_rate, []) if layout.gsr_rate is not None else _stamped_rate(table[:, 0], file)
    data = _converted(table[:, [layout.gsr_column]].T, "eda", layout.gsr_unit)
    return Signal(data, rate, ("eda",), UNITS["eda"]), notes


def _read_eeg(file: Path, layout: _Layout) -> tuple[Signal, list[LeftOut]]:
    table = _matrix(file, "ThisEEG", "eight rows (in some files nine), samples in columns")
    if len(table) not in (_EEG_ROWS, _EEG_ROWS + 1):
        found = f"the shape {table.shape}"
        raise ReadError(file, where="ThisEEG", found=found, expected="eight rows (or nine), samples in columns")
    notes = [] if len(table) == _EEG_ROWS else [LeftOut(f"{file}: ThisEEG, row 9", "the first eight are read")]
    data = _converted(table[:_EEG_ROWS], "eeg", layout.eeg_unit)
    names = tuple(f"row{row}" for row in range(1, _EEG_ROWS + 1))
    return Signal(data, layout.eeg_rate, names, UNITS["eeg"]), notes


_READERS: dict[str, Callable[[Path, _Layout], tuple[Signal, list[LeftOut]]]] = {
    "ecg": _read_ecg,
    "eda": _read_gsr,
    "eeg": _read_eeg,
}


def _read_clip(
    files: Mapping[str, Path], subject: str, clip: _Clip, ratings: Mapping[str, float], layout: _Layout
) -> Recording:
    signals: dict[str, Signal] = {}
    notes: list[LeftOut] = []
    for modality, file in files.items():
        signals[modality], found = _READERS[modality](file, layout)
        notes += found
    whole = Event("clip", 0.0, min(signal.end for signal in signals.values()))
    return Recording(
        subject,
        signals,
        trial=f"clip{clip.clip + 1:02d}",
        order=clip.clip if clip.place is None else clip.place,
        ratings=dict(ratings),
        events=(whole,),
        notes=tuple(notes),
    )


def _source(
    files: Mapping[str, Path],
    subject: str,
    clip: _Clip,
    ratings: Mapping[str, float],
    clip_order: str,
    layout: _Layout,
) -> Source:
    return Source(
        subject=subject,
        trial=f"clip{clip.clip + 1:02d}",
        read=partial(_read_clip, files, subject, clip, ratings, layout),
        files=tuple(files.values()),
        options={
            "modalities": list(files),
            "ratings": ratings,
            "place": clip.place,
            "clip_order": clip_order,
            "layout": vars(layout),
        },
        modules=_MODULES,
    )


@dataclass(frozen=True)
class _Listing:
    """What decides which sources there are: the files by modality, subject and number, and what is known of them."""

    root: Path
    files: Mapping[str, Mapping[tuple[str, int], Path]]
    labels: Labels
    clip_order: str
    qualities: Mapping[tuple[str, int], Mapping[str, float]]
    worst: Mapping[str, float]
    layout: _Layout

    def usable(self, subject: str, number: int) -> tuple[dict[str, Path], list[LeftOut]]:
        """Return the files of a clip that are there and good enough."""
        own = {name: found[subject, number] for name, found in self.files.items() if (subject, number) in found}
        missing = [f"{_PREFIXES[name]}_Clip{number}.mat" for name in self.files if name not in own]
        poor = _too_poor((subject, number), self.qualities.get((subject, number), {}), self.worst)
        notes = [why for name, why in poor.items() if name in own]
        if missing:
            notes.append(LeftOut(f"{subject}, {', '.join(missing)}", "no such file; the clip is used without it"))
        return {name: file for name, file in own.items() if name not in poor}, notes

    def sources(self, subject: str, number: int) -> tuple[tuple[Source, ...], list[LeftOut]]:
        """Return the source of a clip, or none, and what is left out of it."""
        own, notes = self.usable(subject, number)
        if not own:
            return (), notes
        try:
            clip = _resolve(number, self.labels.shown(subject), self.clip_order)
        except DataError as error:
            return (), [*notes, LeftOut(f"{subject}, clip {number}", str(error))]
        ratings = _ratings_of(self.labels, subject, clip.column)
        lacking = [name for name in RATINGS if name not in ratings]
        if lacking and self.labels.ratings is not None:
            why = f"no value in column {clip.column + 1} of Ratings; the clip is used without"
            notes.append(LeftOut(f"{subject}, clip{clip.clip + 1:02d}: {', '.join(lacking)}", why))
        place = min(own.values(), key=lambda file: is_inside(file, self.root))  # one that leads out, if there is one
        make = partial(_source, own, subject, clip, ratings, self.clip_order, self.layout)
        sources, outside = sources_inside(self.root, [(place, make)])
        return sources, [*notes, *outside]


# ---------------------------------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------------------------------


def _checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Check the order of clips, above all, and the tables."""
    labels = read_labels(root)
    what = f"self-reports are of {_SUBJECTS} subjects and {_CLIPS} clips"
    if labels.ratings is None:
        yield Check(what, None, "there is no readable Dt_SelfReports.mat")
    else:
        shape = labels.ratings.shape
        yield Check(what, shape == (len(RATINGS), _SUBJECTS, _CLIPS), f"the shape {shape}")
    what = f"PermutationList has every clip once for each of {_SUBJECTS} subjects"
    if labels.permutation is None:
        yield Check(what, None, "there is no readable Dt_Order_Movie.mat")
    else:
        known = int(labels.permutation.all(axis=1).sum())
        yield Check(what, known == len(labels.permutation) == _SUBJECTS, f"{known} of {len(labels.permutation)} rows")
    counts = Counter(source.subject for source in corpus.sources)
    uneven = [f"{subject} has {count}" for subject, count in counts.items() if count != _CLIPS]
    yield outcome(f"every subject has {_CLIPS} clips", uneven, len(counts), of="subjects")
    yield _check_contrast(corpus)
    yield _check_order_taken(root, corpus)
    why = "the layout of Data_Quality_Evaluation.xlsx is not documented; bring it in with the option quality"
    yield Check("the quality of the recordings was looked at", None, why)


def _check_order_taken(root: Path, corpus: Corpus) -> Check:
    """Ask whether ratings and clocks of the files allow the order that was chosen."""
    found = check_order(root)
    told = f"{found.files_by_clip} subjects' files count clips by their clocks, {found.files_by_place} count places"
    what = "ratings and clocks of the files agree with the chosen clip_order"
    if not found.suggests:
        return Check(what, False, f"{told}: these contradict each other")
    if len(found.suggests) == len(CLIP_ORDERS):
        return Check(what, None, "neither says anything about the order")
    taken = {str(source.options["clip_order"]) for source in corpus.sources}
    suggested = " or ".join(found.suggests)
    if taken <= set(found.suggests):
        return Check(what, True, f"{suggested}; {told}")
    return Check(what, False, f"'{', '.join(sorted(taken))}' is taken, but they speak for {suggested}; {told}")


def _check_contrast(corpus: Corpus) -> Check:
    """Ask whether clips of the first half, chosen to be pleasant, were rated so under the order that was chosen."""
    what = "clips 1 to 18 are rated more pleasant than clips 19 to 36 in the chosen clip_order"
    subjects = list(corpus.subjects)
    valence = np.full((len(subjects), _CLIPS), np.nan)
    for source in corpus.sources:
        clip = int(source.trial.removeprefix("clip"))
        if "valence" in source.options["ratings"] and clip <= _CLIPS:
            valence[subjects.index(source.subject), clip - 1] = source.options["ratings"]["valence"]
    mean, error = _contrast(valence)
    if not math.isfinite(mean):
        return Check(what, None, "ratings of valence of two subjects at least are needed")
    found = f"by {mean:.2f}, standard error {error:.2f}"
    if mean > _CLEAR * error:
        return Check(what, True, found)
    if len(subjects) < _FEW and mean + _CLEAR * error > 0:
        return Check(what, None, f"{found}: of {len(subjects)} subjects that says nothing either way")
    return Check(what, False, f"{found}: try another clip_order, and see limbeck.datasets.ascertain.check_order")


@dataset(
    "ascertain",
    info=DatasetInfo(
        title="ASCERTAIN: ECG, skin conductance and frontal EEG while watching 36 film clips",
        modalities=("ecg", "eda", "eeg"),
        subjects=58,
        names=tuple(f"P{number:02d}" for number in range(1, _SUBJECTS + 1)),
        licence="on agreement with the University of Trento (MHUG), for research",
        citation="Subramanian et al., ASCERTAIN, IEEE Trans. Affective Computing 9(2):147-160, 2018",
        url="https://ascertain-dataset.github.io",
        access="gated",
        checked="format-faithful files only; never tried on the real corpus",
        obtain="Sign the agreement of the MHUG group, University of Trento; take ASCERTAIN_Raw.zip "
        "and ASCERTAIN_Features.zip.",
        uncertain=(
            "which clip a rating belongs to: option clip_order, and check_order",
            "the rate of GSR: option gsr_rate, else from time stamps",
            "the columns of the ECG leads: option ecg_columns",
            "the meaning of the eight rows of EEG, and their unit: option eeg_unit",
            "the layout of the table of quality: option quality",
            "the facial motion of EMOData, which is not read",
        ),
    ),
    checks=_checks,
)
def ascertain(
    root: Path | None,
    *,
    subjects: Sequence[str | int] | None = None,
    modalities: Sequence[str] = ("ecg", "eda", "eeg"),
    clip_order: ClipOrder = "clip_id",
    quality: str | Path | None = None,
    worst_quality: Mapping[str, float] | None = None,
    ecg_columns: Sequence[int] | None = None,
    gsr_column: int = 4,
    ecg_rate: float = 256.0,
    gsr_rate: float | None = None,
    eeg_rate: float = 32.0,
    ecg_unit: str = "mV",
    gsr_unit: str = "uS",
    eeg_unit: str = "uV",
) -> Corpus:
    """ASCERTAIN: a recording per subject and film clip, with the subject's ratings of it and personality.

    `ecg` has two leads A and B (which is which arm is not documented), `eda` one channel, `eeg` eight rows of **one**
    frontal dry sensor (probably band powers: not eight electrodes; apply no montage). Channels start together. The
    event ``clip`` spans what all of them have. `ratings` are arousal, engagement, liking, familiarity (0 to 6), valence
    (-3 to 3) and the personality scores (1 to 7); those that the corpus lacks are absent. `trial` is the clip
    (``clip01``), `order` its place in the presentation (where that is not known, the clip's own number).

    What the description does not settle is an option, and its default is logged.

    Parameters
    ----------
    root : Path, optional
        The folder that holds ``ASCERTAIN_Raw`` and ``ASCERTAIN_Features``; by default in the folder of data sets.
    subjects : sequence of str or int, optional
        Only these: ``P07``, ``Movie_P07``, ``7``.
    modalities : sequence of {"ecg", "eda", "eeg"}
        Only these. The facial motion of ``EMOData`` is not read: its layout is not known.
    clip_order : {"clip_id", "presentation_features", "presentation_ratings"}
        Whether numbers count clips everywhere, the numbers of files count places in the presentation, or the columns of
        ratings do. Compare with :func:`check_order`; a warning is logged where the ratings speak against the choice.
    quality : path-like, optional
        A table of the recordings' quality, relative to `root`: comma-separated with the columns subject, clip (the
        number of the files), ecg, gsr and eeg. The corpus has these numbers in ``Data_Quality_Evaluation.xlsx``, whose
        layout is not documented: bring them into this form. By default everything is read, whatever its quality.
    worst_quality : mapping of str to float, optional
        By modality, the worst quality that is kept; by default 4 for `ecg` and `eda`, 3 for `eeg`.
    ecg_columns : sequence of two int, optional
        Columns of the leads, from 0; by default 4 and 5 of files with six columns or more, 1 and 2 of others.
    gsr_column : int
        Column of skin conductance, from 0.
    ecg_rate, eeg_rate : float
        In Hz, as published. ECG time stamps that differ by more than 5 % are noted.
    gsr_rate : float, optional
        In Hz; by default from each file's time stamps, moved to a usual rate within 2 % of it.
    ecg_unit, gsr_unit, eeg_unit : str
        What the numbers in the files are. Resistance (``"kohm"``) becomes conductance.

    Returns
    -------
    Corpus
        On `left_out`: files that are missing or of poor quality, labels that could not be used, and clips whose number
        `clip_order` cannot resolve because the order of presentation is not known.

    Raises
    ------
    DataError
        `root` does not exist, a subject is not there, or an option has a value that there is not.
    ReadError
        There are no raw recordings below `root`, or no table of quality where it should be.
    """
    _refuse_order(clip_order)
    unknown = [name for name in (*modalities, *(worst_quality or ())) if name not in _PREFIXES]
    if unknown or not modalities:
        raise DataError(f"ASCERTAIN has no modalities {unknown}; choose among {', '.join(_PREFIXES)}.")
    if ecg_columns is not None and len(ecg_columns) != 2:
        raise DataError(f"ecg_columns needs two columns, from 0; found {list(ecg_columns)}.")
    leads = None if ecg_columns is None else (int(ecg_columns[0]), int(ecg_columns[1]))
    layout = _Layout(leads, gsr_column, ecg_rate, gsr_rate, eeg_rate, ecg_unit, gsr_unit, eeg_unit)
    if layout.mistakes():
        raise DataError(" ".join(layout.mistakes()))
    root = locate("ascertain", root)
    home = _find(root, _holds_raw)
    wanted = [name for name in _PREFIXES if name in modalities]
    listed = {} if home is None else {name: _clip_files(home, _PREFIXES[name], root) for name in wanted}
    files = {name: found for name, (found, _) in listed.items()}
    left_out = [item for _, outside in listed.values() for item in outside]
    keys = sorted({key for found in files.values() for key in found})
    if home is None or not keys:
        raise ReadError(
            root,
            found=left_out[0].why if left_out else f"no {_PREFIXES[wanted[0]]}Data/Movie_P01/*_Clip1.mat, ...",
            expected="the folder that ASCERTAIN_Raw.zip unpacks into",
            advice="For the feature files alone, use limbeck.datasets.ascertain.read_features.",
        )
    labels = read_labels(root)
    _warn_about_order(labels, clip_order)
    logger.info("ASCERTAIN units and rates as assumed: %s", vars(layout))
    kept = chosen(list(dict.fromkeys(subject for subject, _ in keys)), subjects, _spelling)
    qualities, bad_rows = ({}, []) if quality is None else _read_quality(root / quality)
    worst = WORST_QUALITY | dict(worst_quality or {})
    listing = _Listing(root, files, labels, clip_order, qualities, worst, layout)
    left_out += [*labels.left_out, *bad_rows, *_not_read(home)]
    sources: list[Source] = []
    for key in keys:
        if key[0] in kept:
            found, notes = listing.sources(*key)
            sources += found
            left_out += notes
    sources.sort(key=lambda source: (source.subject, source.trial))
    return Corpus("ascertain", tuple(sources), left_out)


def _not_read(home: Path) -> list[LeftOut]:
    faces = _child(home, "EMOData")
    return [] if faces is None else [LeftOut(str(faces), "not read: the layout of facial motion is not documented")]


# ---------------------------------------------------------------------------------------------------------------------
# The authors' features
# ---------------------------------------------------------------------------------------------------------------------

_FEATURE_KINDS = ("ECG", "GSR", "EEG", "EMO")


@dataclass(frozen=True)
class Features:
    """Features of one modality, a row per subject and clip.

    Parameters
    ----------
    values : ndarray of shape (n_trials, n_features), float64
        NaN where the file has NaN or ±Inf, which it does: impute inside the folds.
    subjects : tuple of str
        Of each row: ``P01``, ...
    clips : tuple of str
        Of each row: ``clip01``, ...
    orders : tuple of int
        Of each row the place in the presentation, from 0; the clip's own number where that is not known.
    ratings : mapping of str to ndarray of shape (n_trials,), float64
        Self-reports and personality; NaN where missing.
    left_out : tuple of LeftOut
        What could not be used.
    """

    values: np.ndarray
    subjects: tuple[str, ...]
    clips: tuple[str, ...]
    orders: tuple[int, ...]
    ratings: Mapping[str, np.ndarray]
    left_out: tuple[LeftOut, ...] = ()


def _tables(file: Path, kind: str) -> list[np.ndarray]:
    """Return a table of shape (clip, feature) per subject, from a cell of them or from one array."""
    what = "a cell with a (clip, feature) table per subject, or an array of shape (subject, clip, feature)"
    name = f"{kind}Features"
    stored = np.asarray(_variable(file, name, what))
    if stored.dtype == object:
        tables = [_numbers(cell, file, f"{name}, cell {k}", what) for k, cell in enumerate(stored.ravel(), start=1)]
    else:
        tables = list(_numbers(stored, file, name, what))
    shapes = {table.shape for table in tables}
    filled = {shape for shape in shapes if 0 not in shape}
    if len({shape[-1:] for shape in filled}) != 1 or any(len(shape) != 2 for shape in filled):
        raise ReadError(file, where=name, found=f"tables of shapes {sorted(shapes)[:4]}", expected=what)
    return tables


def read_features(root: str | Path, kind: str, *, clip_order: ClipOrder = "clip_id") -> Features:
    """Read the features that the authors of ASCERTAIN extracted, with clips and ratings beside them.

    Parameters
    ----------
    root : path-like
        ``ASCERTAIN_Features``, or a folder that holds it.
    kind : {"ECG", "GSR", "EEG", "EMO"}
        Which file: 32, 31, 88 or 72 features.
    clip_order : {"clip_id", "presentation_features", "presentation_ratings"}
        As in :func:`ascertain`; here the rows of features take the place of the numbers of files.

    Returns
    -------
    Features
        Rows of a subject whose order of presentation is needed and not known are left out.

    Raises
    ------
    DataError
        There is no such `kind` or `clip_order`.
    ReadError
        The file is not there, or holds no features.
    """
    _refuse_order(clip_order)
    if kind.upper() not in _FEATURE_KINDS:
        raise DataError(f"ASCERTAIN has no features '{kind}'.{did_you_mean(kind.upper(), _FEATURE_KINDS)}")
    root, kind = Path(root), kind.upper()
    folder = _find(root, _holds_features)
    file = None if folder is None else _child(folder, f"Dt_{kind}Features.mat")
    if file is None:
        raise ReadError(root, found=f"no Dt_{kind}Features.mat", expected="the folder of ASCERTAIN_Features.zip")
    if not is_inside(file, root):
        raise ReadError(file, found="a link that leads out of the data set's folder", expected="a file in it")
    labels = read_labels(root)
    _warn_about_order(labels, clip_order)
    left_out = list(labels.left_out)
    rows: list[np.ndarray] = []
    keys: list[tuple[str, _Clip]] = []
    for number, table in enumerate(_tables(file, kind), start=1):
        subject = f"P{number:02d}"
        if table.size == 0:
            left_out.append(LeftOut(f"{file}: {subject}", "an empty table"))
            continue
        try:
            clips = [_resolve(row, labels.shown(subject), clip_order) for row in range(1, len(table) + 1)]
        except DataError as error:
            left_out.append(LeftOut(f"{file}: {subject}", str(error)))
            continue
        rows.append(table)
        keys += [(subject, clip) for clip in clips]
    if not rows:
        raise ReadError(file, found="no usable row", expected="features of subjects", advice=left_out[-1].why)
    ratings = [_ratings_of(labels, subject, clip.column) for subject, clip in keys]
    return Features(
        values=np.concatenate(rows),
        subjects=tuple(subject for subject, _ in keys),
        clips=tuple(f"clip{clip.clip + 1:02d}" for _, clip in keys),
        orders=tuple(clip.clip if clip.place is None else clip.place for _, clip in keys),
        ratings={
            name: np.array([values.get(name, math.nan) for values in ratings]) for name in (*RATINGS, *PERSONALITY)
        },
        left_out=tuple(left_out),
    )
