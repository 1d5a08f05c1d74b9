"""Networks as ONNX files, checked against the network they came from."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limbeck.atomic import write_atomically
from limbeck.errors import DataError
from limbeck.models import InputShape, Network

__all__ = ["open_session", "to_onnx"]

_BATCHES = (2, 5)
"""Windows at which the network is exported, and at which the file is tried."""


class _Predictor(nn.Module):
    """A network with one argument per modality, in order, that returns its prediction alone."""

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = network, tuple(names)

    def forward(self, *signals: Tensor) -> Tensor:
        """Return the prediction for one tensor per modality."""
        prediction: Tensor = self.network(dict(zip(self.names, signals, strict=True))).prediction
        return prediction


def to_onnx(
    network: nn.Module, modalities: Mapping[str, InputShape], path: str | Path, *, tolerance: float = 1e-5
) -> float:
    """Write a network as an ONNX file.

    The file has one input per modality, called like it, of shape (batch, channels, samples) or (batch, features) and
    float32, and the output ``prediction`` of shape (batch, n_outputs) or, of a network that predicts a value per step,
    (batch, n_steps, 1); any number of windows goes in at once. It is run beside the network on
    random windows, another number of them than it was exported with, before it appears under its name.

    Parameters
    ----------
    network : nn.Module
        Of this module's contract; it is exported in evaluation mode and left as it was.
    modalities : mapping of str to InputShape
        What it reads.
    path : path-like
        The file; one that is there is replaced when the new one is whole.
    tolerance : float
        Largest difference of a prediction, relative to the largest of them where that is above 1.

    Returns
    -------
    float
        The largest difference that was seen.

    Raises
    ------
    DataError
        The network says that it cannot be exported, the packages for it are missing, or the file computes something
        else.
    """
    reason = getattr(network, "unexportable", "") if isinstance(network, Network) else ""
    if reason:
        raise DataError(f"{type(network).__name__} does not become an ONNX file: {reason}.")
    _require()
    names = list(modalities)
    was_training = network.training
    network.eval()
    differences: list[float] = []

    def write(temporary: Path) -> None:
        program.save(temporary)
        differences.append(_difference(network, modalities, temporary))
        if not differences[0] <= tolerance:
            raise DataError(
                f"The ONNX file of {type(network).__name__} would compute something else: predictions differ by "
                f"{differences[0]:.1e}, more than {tolerance:.0e}; nothing was written."
            )

    try:
        program = _exported(_Predictor(network, names), [modalities[name].zeros(_BATCHES[0]) for name in names], names)
        write_atomically(Path(path), write)
    finally:
        network.train(was_training)
    return differences[0]


def open_session(path: str | Path) -> Any:
    """Return an ONNX Runtime session of a file, on one thread of the processor.

    Parameters
    ----------
    path : path-like
        As :func:`to_onnx` wrote it.

    Returns
    -------
    onnxruntime.InferenceSession
        Its ``run(["prediction"], {modality: ndarray})`` predicts.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _require() -> None:
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise DataError(
            f"Writing ONNX files needs the package {error.name}; install it with: pip install 'limbeck[export]'."
        ) from error


def _exported(predictor: nn.Module, example: Sequence[Tensor], names: Sequence[str]) -> Any:
    batch = torch.export.Dim.DYNAMIC
    with _quiet():
        return torch.onnx.export(
            predictor,
            tuple(example),
            dynamo=True,
            input_names=list(names),
            output_names=["prediction"],
            dynamic_shapes=[tuple({0: batch} for _ in names)],
            verbose=False,
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on its own progress and on packages that nobody asked for off the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _difference(network: nn.Module, modalities: Mapping[str, InputShape], path: Path) -> float:
    """Return how far the file's predictions are from the network's on random windows."""
    session = open_session(path)
    rng = np.random.default_rng(0)
    windows = {
        name: rng.standard_normal(tuple(shape.zeros(_BATCHES[1]).shape), dtype=np.float32)
        for name, shape in modalities.items()
    }
    read = {node.name for node in session.get_inputs()}
    (found,) = session.run(["prediction"], {name: values for name, values in windows.items() if name in read})
    with torch.no_grad():
        expected = network({name: torch.from_numpy(values) for name, values in windows.items()}).prediction.numpy()
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))
