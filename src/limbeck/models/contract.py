"""What every model promises: shapes in, :class:`Outputs` out, options by name.

A model is a class below :class:`Network`, registered with ``@MODELS.register(name)``. Its constructor takes
``modalities`` (a mapping from modality to :class:`InputShape`) and ``n_outputs``, then keyword options with defaults;
one that predicts at steps within the window also takes ``n_steps``. Class attributes say what it reads and how it may
be used. Randomness in ``forward`` comes only from :class:`limbeck.models.layers.Dropout`, whose masks the training
engine draws.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from limbeck.errors import DataError, LimbeckError
from limbeck.models.options import checked_options
from limbeck.registry import Registry

__all__ = [
    "MODELS",
    "FeatureNetwork",
    "InputShape",
    "Layer",
    "Network",
    "Outputs",
    "build",
    "count_multiply_adds",
    "count_parameters",
    "dry_run",
    "layer_table",
]


class _Models(Registry):
    """The registry of models; steps come from the target, so they are no option."""

    def options(self, name: str) -> dict[str, Any]:
        return {option: default for option, default in super().options(name).items() if option != "n_steps"}


MODELS: Registry = _Models("model")


class Outputs(NamedTuple):
    """What a model returns.

    Attributes
    ----------
    prediction : Tensor of shape (batch, n_outputs) or (batch, n_steps, n_outputs), float32
        Logits of classes, or the value of a trace (``n_outputs = 1``); with steps where the model was built with
        ``n_steps``.
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


class Network(nn.Module):
    """What Limbeck asks of the class of a model; subclasses say what differs.

    Attributes
    ----------
    family : {"network", "classical"}
        Trained by gradients, or fitted in one go (:class:`limbeck.models.classical.Classical`).
    reads : {"signals", "features"}
        Windows of samples, or rows of features.
    min_modalities, max_modalities : int, int or None
        How many modalities it needs and takes; None for any number.
    missing_modalities : bool
        Whether a modality that is NaN throughout stands for one that is absent; others are never given NaN.
    per_step : bool
        Whether it can predict at steps within the window (``n_steps`` of :func:`build`).
    paper : str
        Where it was published, in one line; empty for our own.
    example : mapping of str to InputShape
        The shapes that the paper reads, or typical ones; ``limbeck models`` counts parameters for these.
    looped : str
        Why many networks cannot be stacked into one; empty where they can.
    unexportable : str
        Why it does not become an ONNX file; empty where it does.
    idle : mapping of str to str
        Parameters that no gradient of the prediction reaches, as patterns (``"*.key.bias"``), with the reason. What the
        class says is true of its defaults; an instance whose options change it has an attribute of its own.
    taken : tuple of str
        Features whose names no modality may have, since features stand under the names of modalities as well.
    least : mapping of str to int
        Lower bounds of options that are whole numbers, where it is not 1 (or the default, if that is less).
    """

    family: ClassVar[Literal["network", "classical"]] = "network"
    reads: ClassVar[Literal["signals", "features"]] = "signals"
    min_modalities: ClassVar[int] = 1
    max_modalities: ClassVar[int | None] = None
    missing_modalities: ClassVar[bool] = False
    per_step: ClassVar[bool] = False
    paper: ClassVar[str] = ""
    example: ClassVar[Mapping[str, InputShape]] = {}
    looped: ClassVar[str] = ""
    unexportable: ClassVar[str] = ""
    idle: Mapping[str, str] = {}
    taken: ClassVar[tuple[str, ...]] = ()
    least: ClassVar[Mapping[str, int]] = {}


class FeatureNetwork(Network):
    """A network that reads features: those of all modalities as one row, in the order of the view."""

    reads: ClassVar[Literal["signals", "features"]] = "features"

    def _read(self, modalities: Mapping[str, InputShape]) -> int:
        """Remember the order of the modalities and return the number of their features."""
        self.modalities = tuple(modalities)
        return sum(shape.channels for shape in modalities.values())

    def _row(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the row, (batch, n_features)."""
        return torch.cat([inputs[name] for name in self.modalities], dim=-1)


def build(
    name: str, modalities: Mapping[str, InputShape], n_outputs: int, *, n_steps: int = 0, **options: Any
) -> nn.Module:
    """Build a registered model for given shapes.

    Parameters
    ----------
    name : str
        A name of ``limbeck models``.
    modalities : mapping of str to InputShape
        What the windows hold, by modality.
    n_outputs : int
        Number of classes, or 1 for a trace.
    n_steps : int
        Steps within the window at which the model predicts; 0 for one prediction per window.
    **options
        Options of the model.

    Raises
    ------
    LimbeckError
        For an unknown model or option, for a value that an option does not take, or for shapes that the model cannot
        read.
    """
    mistakes = MODELS.mistakes(name, options)
    if not mistakes:
        options, mistakes = checked_options(name, MODELS[name], options, class_of(name).least)
        mistakes += input_mistakes(name, modalities)
        if n_outputs < 1:
            mistakes.append(f"A model with {n_outputs} outputs predicts nothing; expected at least 1.")
        if n_steps < 0:
            mistakes.append(f"n_steps is {n_steps}; expected 0, for one prediction per window, or more.")
        if n_steps and not class_of(name).per_step:
            able = ", ".join(other for other in MODELS if class_of(other).per_step)
            mistakes.append(
                f"The model '{name}' predicts once per window, not at {n_steps} steps; models that do: {able}."
            )
    if mistakes:
        raise LimbeckError("\n".join(mistakes))
    steps = {"n_steps": n_steps} if n_steps else {}
    try:
        model: nn.Module = MODELS[name](modalities=dict(modalities), n_outputs=n_outputs, **steps, **options)
    except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].removesuffix(".")
        raise LimbeckError(f"The model '{name}' cannot be built with {options or 'its defaults'}: {reason}.") from error
    return model


def class_of(name: str) -> type[Network]:
    """Return the class of a registered model."""
    found: Any = MODELS[name]
    return found


def input_mistakes(name: str, modalities: Mapping[str, InputShape]) -> list[str]:
    """Return why a model cannot read these shapes, as sentences; empty when it can."""
    model = class_of(name)
    mistakes = []
    if not modalities:
        mistakes.append(f"The model '{name}' needs at least one modality; the view is empty.")
    most, reads = model.max_modalities, model.reads
    if most is not None and len(modalities) > most:
        some = "modality" if most == 1 else "modalities"
        mistakes.append(f"The model '{name}' reads at most {most} {some}; the view has {sorted(modalities)}.")
    if modalities and len(modalities) < model.min_modalities:
        mistakes.append(
            f"The model '{name}' needs at least {model.min_modalities} modalities; the view has {sorted(modalities)}."
        )
    for modality, shape in modalities.items():
        mistakes += _shape_mistakes(name, modality, shape)
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


_NAMED = nn.ModuleDict()
"""Whose attributes no modality can be called, since modules stand under the names of modalities."""


def _shape_mistakes(name: str, modality: str, shape: InputShape) -> list[str]:
    """Return what is wrong with one modality for any model, and with its name."""
    mistakes = []
    if modality in class_of(name).taken:
        mistakes.append(
            f"The model '{name}' has a feature called '{modality}' of its own; give the modality another name."
        )
    elif not modality or "." in modality or hasattr(_NAMED, modality):
        mistakes.append(
            f"A modality cannot be called '{modality}', a name with a dot or one that PyTorch needs; choose another."
        )
    if shape.channels < 1:
        mistakes.append(f"'{modality}' has {shape.channels} channels; expected at least 1.")
    if shape.rate is not None and not (math.isfinite(shape.rate) and shape.rate > 0):
        mistakes.append(f"'{modality}' has a rate of {shape.rate} Hz; expected more than 0, or none for features.")
    elif shape.rate is not None and shape.length < 1:
        mistakes.append(f"'{modality}' has windows of {shape.length} samples; expected at least 1.")
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
    with torch.device("meta"), counter:
        dry_run(_weightless(model), modalities, batch=1)
    return int(counter.get_total_flops()) // 2


def _weightless(model: nn.Module) -> nn.Module:
    """Return a copy that has shapes and no numbers: running it costs nothing, and hides no operation in a fused one."""
    return copy.deepcopy(model).to("meta")


class Layer(NamedTuple):
    """One row of a layer table.

    Attributes
    ----------
    name, kind : str
        Path of the module in the network, and its class.
    shape : tuple of int
        What it returns for one window, without the batch; empty where that is no tensor.
    parameters : int
        Trainable numbers of its own, those of its children not among them.
    multiply_adds : int
        Of one window.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


def _nearest(name: str, paths: Iterable[str]) -> list[str]:
    """Return those of the paths that lie below a module's and below no other of them; the network's own is empty."""
    below = sorted(path for path in paths if path and path.startswith(f"{name}." if name else ""))
    return [path for path in below if not any(path.startswith(f"{other}.") for other in below)]


def layer_table(model: nn.Module, modalities: Mapping[str, InputShape]) -> list[Layer]:
    """Return the layers that hold parameters or change a shape, in the order in which one window passes them.

    Parameters and operations that lie outside of such layers (a position embedding, the products of an attention)
    stand in rows of the module that owns them, so the rows add up to what the network has. Layers that no window passes
    follow behind, without a shape.
    """
    from torch.utils.flop_counter import FlopCounterMode

    model = _weightless(model)
    shapes: dict[str, tuple[int, ...]] = {}
    handles = []
    for name, module in model.named_modules():

        def remember(_: nn.Module, __: Any, output: Any, name: str = name) -> None:
            first = output[0] if isinstance(output, tuple) else output
            shapes[name] = tuple(first.shape[1:]) if isinstance(first, Tensor) else ()

        handles.append(module.register_forward_hook(remember))
    counter = FlopCounterMode(display=False)
    try:
        with torch.device("meta"), counter:
            dry_run(model, modalities, batch=1)
    finally:
        for handle in handles:
            handle.remove()
    operations = {
        name.partition(".")[2]: sum(counts.values()) // 2 for name, counts in counter.get_flop_counts().items()
    }
    modules = dict(model.named_modules())
    rows = []
    # The network itself stands last, and before it what no window passes.
    for name in [*(name for name in shapes if name), *(name for name in modules if name and name not in shapes), ""]:
        module = modules[name]
        parameters = sum(p.numel() for p in module.parameters(recurse=False) if p.requires_grad)
        inner = sum(operations[path] for path in _nearest(name, operations)) if name in operations else 0
        own = int(operations.get(name, 0) - inner)
        leaf = name in shapes and not any(module.children())
        if leaf or parameters or own:
            rows.append(Layer(name, type(module).__name__, shapes.get(name, ()) if name else (), parameters, own))
    return rows
