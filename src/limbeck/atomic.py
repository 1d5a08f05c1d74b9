"""Files and folders that appear whole or not at all, however the process that writes them ends."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

__all__ = ["UNFINISHED", "temporary_beside", "write_atomically"]

UNFINISHED = ".unfinished-"
"""How the names of what is being written begin; they end with the process and a random part."""


def temporary_beside(path: Path) -> Path:
    """Return a name for what will become `path`, in the same folder."""
    return path.parent / f"{UNFINISHED}{path.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` make a file or directory under a temporary name beside `path`, then rename it.

    A directory that is already there is kept: whoever was first has written the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        write(temporary)
        if temporary.is_dir() and path.is_dir():
            return path
        try:
            temporary.replace(path)
        except OSError:
            if not path.is_dir():  # else another process was quicker by a moment
                raise
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
    return path
