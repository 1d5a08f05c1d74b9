"""Limbeck trains models that read cheap physiological sensors by letting models that read rich ones teach them.

The whole road in one call::

    import limbeck

    run = limbeck.run("studies/demo.yaml", out="runs", jobs=2)
    print(run.judgements[0].verdicts[0].sentence)
    print(run.report)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["__version__", "from_arrays", "load_run", "load_study", "parse_study", "predict_files", "run", "run_study"]

if TYPE_CHECKING:
    from limbeck.datasets.arrays import from_arrays
    from limbeck.study import load_run, load_study, parse_study, predict_files, run, run_study


_ROOMS = ("datasets", "signals", "windows")


def __getattr__(name: str) -> Any:
    # Importing a study brings PyTorch, which takes a second; ``limbeck --help`` and readers of recordings do without.
    if name == "from_arrays":
        from limbeck.datasets.arrays import from_arrays

        return from_arrays
    if name in __all__:
        from limbeck import study

        return getattr(study, name)
    if name in _ROOMS:
        return import_module(f"limbeck.{name}")
    raise AttributeError(f"module 'limbeck' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
