"""What every model promises: shapes in, :class:`Outputs` out, options by name.

A model class is registered with ``@MODELS.register(name)``. Its constructor takes ``modalities`` (a mapping from
modality to :class:`InputShape`) and ``n_outputs``, then keyword options with defaults. Class attributes say what it can
read: ``reads`` (``"signals"``, ``"features"``), ``max_modalities`` (``None`` for any number) and ``missing_modalities``
(whether NaN stands for an absent modality; models that say False are never given one). Randomness in ``forward`` comes
only from :class:`limbeck.models.layers.Dropout`, whose masks the training engine draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from limbeck.errors import DataError, LimbeckError
from limbeck.registry import Registry

__all__ = ["MODELS", "InputShape", "Outputs", "build", "count_multiply_adds", "count_parameters", "dry_run"]

MODELS = Registry("model")


class Outputs(NamedTuple):
    """What a model returns.

    Attributes
    ----------
    prediction : Tensor of shape (batch, n_outputs), float32
        Logits of classes, or the value of a trace (``n_outputs = 1``).
    features : dict of str to Tensor
        Named intermediate results, batch first.
    """

    prediction: Tensor
    features: dict[str, Tensor]


@dataclass(frozen=True)
class InputShape:
    """The shape of one modality of one window.

    Parameters
    ----------
    channels : int
        Number of channels, or of feature columns.
    length : int
        Samples per window; 0 for features.
    rate : float or None
        Sampling rate in Hz; None for features.
    """

    channels: int
    length: int = 0
    rate: float | None = None

    @property
    def is_feature(self) -> bool:
        """Whether a window of this modality is a row of features instead of a signal."""
        return self.rate is None

    def zeros(self, batch: int) -> Tensor:
        """Return a batch of zeros of this shape, float32."""
        return torch.zeros(batch, self.channels) if self.is_feature else torch.zeros(batch, self.channels, self.length)


def build(name: str, modalities: Mapping[str, InputShape], n_outputs: int, **options: Any) -> nn.Module:
    """Build a registered model for given shapes.

    Parameters
    ----------
    name : str
        A name of ``limbeck models``.
    modalities : mapping of str to InputShape
        What the windows hold, by modality.
    n_outputs : int
        Number of classes, or 1 for a trace.
    **options
        Options of the model.

    Raises
    ------
    LimbeckError
        For an unknown model or option, or for shapes that the model cannot read.
    """
    mistakes = MODELS.mistakes(name, options)
    if not mistakes:
        mistakes = input_mistakes(name, modalities)
    if mistakes:
        raise LimbeckError("\n".join(mistakes))
    model: nn.Module = MODELS[name](modalities=dict(modalities), n_outputs=n_outputs, **options)
    return model


def input_mistakes(name: str, modalities: Mapping[str, InputShape]) -> list[str]:
    """Return why a model cannot read these shapes, as sentences; empty when it can."""
    model = MODELS[name]
    mistakes = []
    if not modalities:
        mistakes.append(f"The model '{name}' needs at least one modality; the view is empty.")
    most = getattr(model, "max_modalities", None)
    if most is not None and len(modalities) > most:
        mistakes.append(f"The model '{name}' reads at most {most} modality; the view has {sorted(modalities)}.")
    reads = getattr(model, "reads", "signals")
    for modality, shape in modalities.items():
        if reads == "features" and not shape.is_feature:
            mistakes.append(
                f"The model '{name}' reads features, but '{modality}' is a signal of "
                f"shape ({shape.channels}, {shape.length}); add a features step to signals.{modality} or "
                "choose another model."
            )
        if reads == "signals" and shape.is_feature:
            mistakes.append(
                f"The model '{name}' reads signals, but '{modality}' is {shape.channels} features; remove the features "
                f"step of signals.{modality} or choose a model for features (mlp, linear)."
            )
    return mistakes


def dry_run(model: nn.Module, modalities: Mapping[str, InputShape], batch: int = 2) -> Outputs:
    """Run a model once on zeros in evaluation mode, for the shapes of its outputs."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        outputs = model({name: shape.zeros(batch) for name, shape in modalities.items()})
    model.train(was_training)
    if not isinstance(outputs, Outputs):
        raise DataError(f"{type(model).__name__} returned {type(outputs).__name__}; a model returns Outputs.")
    return outputs


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_multiply_adds(model: nn.Module, modalities: Mapping[str, InputShape]) -> int:
    """Return the multiply-adds of one window, from the matrix products and convolutions of one forward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        dry_run(model, modalities, batch=1)
    return int(counter.get_total_flops()) // 2
