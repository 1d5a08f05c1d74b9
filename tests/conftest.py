"""Fixtures that every room uses."""

from __future__ import annotations

from pathlib import Path

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
