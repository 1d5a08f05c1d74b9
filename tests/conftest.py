"""Fixtures that every room uses."""

from __future__ import annotations

import os
from pathlib import Path

# One thread per process, before a library counts the cores: more of them only get in each other's way.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of open recordings that may lie beside the repository."""
    if not SHARED.is_dir():
        pytest.skip(f"the open recordings are not beside the repository ({SHARED.parent.name}/{SHARED.name})")
    return SHARED


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(0)
