"""Copies of written corpora, to be damaged: large files are linked, so that a copy costs nothing."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpora import Written

__all__ = ["copied", "files_in", "overwrite"]

_LARGE = 1 << 20


def files_in(folder: Path) -> list[Path]:
    """Return every file at or below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def copied(written: Written, home: Path, target: Path) -> Written:
    """Return what was written, copied.

    Parameters
    ----------
    written : Written
        The corpus.
    home : Path
        The folder that its writer was given.
    target : Path
        A folder that does not exist. Its files of more than a MiB are the same as those in `home`: change files with
        :func:`overwrite`.
    """

    def copy(source: str, destination: str) -> str:
        if Path(source).stat().st_size > _LARGE:
            os.link(source, destination)
            return destination
        return str(shutil.copy(source, destination))

    def moved(path: Path) -> Path:
        return target / path.relative_to(home)

    def moved_option(value: Any) -> Any:
        return moved(value) if isinstance(value, Path) and value.is_relative_to(home) else value

    shutil.copytree(home, target, copy_function=copy)
    options: Mapping[str, Any] = {name: moved_option(value) for name, value in written.options.items()}
    return dataclasses.replace(
        written,
        root=moved(written.root),
        options=options,
        signal_files=[moved(file) for file in written.signal_files],
        listing_opens=[moved(file) for file in written.listing_opens],
    )


def overwrite(file: Path, content: bytes) -> None:
    """Give a file other bytes, without touching files that are linked to it."""
    file.unlink()
    file.write_bytes(content)
