"""What a folder or file that no reader takes may have been meant as, and what that reader wants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from limbeck.datasets.files import visible
from limbeck.errors import ReadError

__all__ = ["near_misses"]

_MOST = 2000  # names that are looked at: whoever gives the root of a disk waits for nothing

_FILES = {
    r"s\d\d\.(dat|mat)": "{name} is called like a file of deap: give the folder it lies in.",
    r"S\d+\.pkl": "{name} is called like a file of wesad: give the folder with S2, S3 and so on.",
    r"Data_Preprocessed_P\d+.*": "{name} is called like a file of amigos: give the folder it lies in.",
    r"Subject\d+_\d\.edf": "{name} is called like a file of eegmat: give the folder it lies in.",
    r"(eda|bvp|acc|temp|hr|ibi|tags)\.csv": "{name} is called like a file of an Empatica E4 session: give its folder.",
    r".*_(eeg|physio|events|channels)\.(vhdr|vmrk|eeg|set|tsv|tsv\.gz|json)": (
        "{name} is called like a file of BIDS: give the folder with sub-... and dataset_description.json."
    ),
    r".*\.(csv|tsv|txt)": (
        "A table is read as csv from a folder: signals/SUBJECT/TRIAL.csv, and channels.csv with name, modality, unit "
        "and rate beside signals; see `limbeck datasets describe csv`."
    ),
}
"""What is said of a single file, by its name; the first that fits."""

_TABLES = {
    "participant_ratings.csv": "deap wants s01.dat (or .mat, .bdf) and so on beside it, or in a folder of the data.",
    "channels.csv": "csv wants the folder signals beside it, with SUBJECT/TRIAL.csv.",
    "labels.csv": "csv wants channels.csv and the folder signals beside it.",
    "participants.tsv": "bids wants folders sub-... with files of EEG or _physio.tsv.gz in them.",
    "dataset_description.json": "bids wants folders sub-... with files of EEG or _physio.tsv.gz in them.",
    "subject-info.csv": "eegmat wants Subject00_1.edf, Subject00_2.edf and so on beside it.",
}
"""What is said of a folder with a table in it and no recordings of that data set."""


def near_misses(path: Path) -> list[str]:
    """Return, in sentences, which readers come near a file or folder and what each of them wants."""
    if path.is_file():
        for pattern, hint in _FILES.items():
            if re.fullmatch(pattern, path.name, re.IGNORECASE):
                return [hint.format(name=path.name)]
        return []
    files = [file for file in islice(_below(path), _MOST) if file.is_file()]
    found = {}
    for file in files:
        if file.name.lower() in _TABLES:
            found[file.name.lower()] = f"There is {file.relative_to(path)}: {_TABLES[file.name.lower()]}"
    if (path / "signals").is_dir() and "channels.csv" not in found:
        found["signals"] = "There is signals: csv wants channels.csv (name, modality, unit, rate) beside it."
    if not found and any(file.suffix.lower() in (".csv", ".tsv", ".txt") for file in files):
        found["csv"] = _FILES[r".*\.(csv|tsv|txt)"]
    if not found and any(file.suffix.lower() == ".mat" for file in files):
        found["mat"] = "Files of MATLAB are read of published data sets only: give the data set's name and --root."
    return list(dict.fromkeys(found.values()))


def _below(folder: Path, depth: int = 2) -> Iterator[Path]:
    """Yield what lies in a folder and in those in it; what cannot be looked into holds nothing."""
    try:
        own = visible(folder)
    except (ReadError, OSError):
        return
    yield from own
    if depth:
        for child in own:
            if child.is_dir() and not child.is_symlink():
                yield from _below(child, depth - 1)
