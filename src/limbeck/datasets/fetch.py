"""Download open data sets as published, file by file, against the SHA-256 lists that come with the package.

What is already there and right is not downloaded again, so a broken download goes on where it stopped. A file that is
there and differs is never overwritten unless asked; a download that differs from the list is thrown away.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
import urllib.parse
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from limbeck.datasets import DATASETS, data_home, how_to_get
from limbeck.errors import DataError, DownloadError, did_you_mean

__all__ = ["BASE_URLS", "checksums", "fetch", "fetchable"]

BASE_URLS = {
    "eegmat": "https://physionet.org/files/eegmat/1.0.0/",
    "stress-predict": (
        "https://raw.githubusercontent.com/italha-d/Stress-Predict-Dataset/f49d2eae603f90c3f0140fbbbae7c0480d651023/"
    ),
}
"""Where each data set's files are published; a file's address is this and its path."""

_TIMEOUT = 30.0  # seconds without an answer
_FAILURES_IN_A_ROW = 3  # then the server is taken to be out of reach

Progress = Callable[[int, int, str], None]


def fetchable() -> list[str]:
    """Return the names of the data sets that can be fetched."""
    return sorted(BASE_URLS)


def checksums(name: str) -> dict[str, str]:
    """Return the published files of a data set: the SHA-256 of each path.

    Raises
    ------
    DataError
        The data set has no list: it cannot be fetched.
    """
    if name not in BASE_URLS:
        hint = f" {how_to_get(name)}" if name in DATASETS else did_you_mean(name, BASE_URLS)
        raise DataError(f"The data set '{name}' cannot be fetched.{hint}")
    text = (importlib.resources.files("limbeck.datasets") / "checksums" / f"{name}.txt").read_text("utf-8")
    return _parse(text, f"{name}.txt")


def _parse(text: str, source: str) -> dict[str, str]:
    """Read lines of ``<sha256>  <path>``, refusing paths that lead out of the folder they belong in."""
    listed = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        match = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line.strip())
        if match is None:
            raise DataError(f"{source}, row {number}: found {line[:80]!r}; expected a SHA-256 and a path.")
        path = PurePosixPath(match[2])
        if path.is_absolute() or ".." in path.parts or "\\" in match[2] or ":" in path.parts[0]:
            raise DataError(f"{source}, row {number}: the path {match[2]!r} leads out of the data set's folder.")
        listed[str(path)] = match[1].lower()
    return listed


def fetch(
    name: str,
    target: str | Path | None = None,
    *,
    base_url: str | None = None,
    overwrite: bool = False,
    retries: int = 3,
    progress: Progress | None = None,
) -> Path:
    """Download a data set's published files.

    Parameters
    ----------
    name : str
        One of :func:`fetchable`.
    target : path-like, optional
        The folder to download into; by default where the reader looks (:func:`limbeck.datasets.data_home`).
    base_url : str, optional
        Another server with the same files.
    overwrite : bool
        Replace files that are there and differ from the published ones.
    retries : int
        How often a failed download is tried again.
    progress : callable, optional
        Called before each file, and once at the end, with files done, files in all and the path.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DataError
        The data set cannot be fetched.
    DownloadError
        Files are there and differ, or could not be downloaded as published. All are named; those that are right stay,
        so that the next call goes on from here.
    """
    listed = checksums(name)
    folder = Path(target) if target is not None else data_home() / name
    folder.mkdir(parents=True, exist_ok=True)
    wanted = _missing(listed, folder, overwrite)
    server = (base_url or BASE_URLS[name]).rstrip("/") + "/"
    failures: dict[str, str] = {}
    in_a_row = 0
    for done, path in enumerate(wanted, start=len(listed) - len(wanted)):
        if progress is not None:
            progress(done, len(listed), path)
        try:
            _download(server + urllib.parse.quote(path), listed[path], folder / path, retries)
            in_a_row = 0
        except DownloadError as error:
            failures[path] = str(error)
            in_a_row += 1
            if in_a_row == _FAILURES_IN_A_ROW:
                break
    if failures:
        raise DownloadError(_failed(name, folder, failures, gave_up=in_a_row == _FAILURES_IN_A_ROW))
    if progress is not None:
        progress(len(listed), len(listed), "")
    return folder


def _failed(name: str, folder: Path, failures: dict[str, str], *, gave_up: bool) -> str:
    lines = [f"{len(failures)} files of '{name}' could not be fetched into {folder}:"]
    lines += [f"  - {error}" for error in failures.values()]
    if gave_up:
        lines.append(f"Given up after {_FAILURES_IN_A_ROW} failures in a row.")
    return "\n".join([*lines, "What is there stays; run it again to go on."])


def _missing(listed: dict[str, str], folder: Path, overwrite: bool) -> list[str]:
    """Return the listed paths that are not there as published; refuse to touch files that differ."""
    missing, differing = [], []
    for path, digest in listed.items():
        file = folder / path
        if not file.resolve().is_relative_to(folder.resolve()):
            raise DownloadError(f"{file}: a link leads out of {folder}; expected plain folders. Remove the link.")
        if not file.exists():
            missing.append(path)
        elif not file.is_file() or _sha256(file) != digest:
            differing.append(path)
    blocked = [path for path in differing if not overwrite or not (folder / path).is_file()]
    if blocked:
        shown = "\n".join(f"  - {path}" for path in blocked)
        raise DownloadError(
            f"{len(blocked)} files in {folder} are not the published ones:\n{shown}\n"
            "Nothing was downloaded. Choose another folder, or ask for them to be overwritten."
        )
    return [path for path in listed if path in {*missing, *differing}]


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(url: str, digest: str, file: Path, retries: int) -> None:
    """Download one file; it appears under its name only when it is whole and right."""
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")  # it reports every file on stderr
    file.parent.mkdir(parents=True, exist_ok=True)
    keeper = pooch.create(
        path=file.parent,
        base_url="",
        registry={file.name: f"sha256:{digest}"},
        urls={file.name: url},
        retry_if_failed=retries,
        allow_updates=True,
    )
    try:
        keeper.fetch(file.name, downloader=pooch.HTTPDownloader(timeout=_TIMEOUT))
    except requests.exceptions.RequestException as error:
        raise DownloadError(f"{url}: {error}") from error
    except ValueError as error:  # pooch's word for a checksum that differs
        raise DownloadError(
            f"{url}: the file is not the published one (SHA-256 differs), and was thrown away"
        ) from error
    except OSError as error:
        raise DownloadError(f"{file}: {error}") from error
