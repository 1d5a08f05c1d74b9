"""How many processes work, and with how many threads each."""

from __future__ import annotations

MOST_JOBS = 8
"""Processes by default, at most: each holds PyTorch and a copy of the windows."""


def one_thread() -> None:
    """Ask the numerical libraries, before they are imported, for one thread per process."""
    import os

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def available_jobs() -> int:
    """Return how many processes run by default: one per core that affinity and container limits allow."""
    import joblib

    return max(1, min(MOST_JOBS, joblib.cpu_count()))
