"""Encoders of video frames: the face network IR-50, any network of timm, and weights for them from files."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.atomic import write_atomically
from limbeck.errors import LimbeckError, ReadError
from limbeck.models.contract import InputShape
from limbeck.models.layers import Dropout

__all__ = ["IR50", "SMALLEST", "FrameEncoder", "TimmEncoder", "convert_weights", "frame_encoder", "frame_shape"]

SMALLEST = 8
"""Rows and columns below which a frame is refused: the network halves them three times."""

END = 3
"""Units of the third stage that are released before the rest of it."""


def frame_shape(modality: str, shape: InputShape, frame: Sequence[int] = ()) -> tuple[int, int, int]:
    """Return colours, rows and columns of the frames that a modality holds.

    A window of video is a signal whose channels are the pixels of a frame, colour after colour and row after row: 24 s
    of 40 x 40 pixels in three colours at 4 Hz are ``InputShape(4800, 96, 4.0)``.

    Parameters
    ----------
    modality : str
        For messages.
    shape : InputShape
        Of the windows.
    frame : sequence of int
        Rows and columns; empty for square frames of three colours or of one, which the number of channels then tells.

    Raises
    ------
    LimbeckError
        When the channels do not hold such a frame, or one that is too small.
    """
    if frame:
        if len(frame) != 2 or min(frame) < 1:
            raise LimbeckError(f"frame is {list(frame)}; expected rows and columns, such as [40, 40].")
        rows, columns = frame
        colours, rest = divmod(shape.channels, rows * columns)
        if rest or not colours:
            raise LimbeckError(
                f"'{modality}' has {shape.channels} channels, which are no frames of {rows} x {columns} pixels "
                f"({rows * columns} channels per colour)."
            )
    else:
        sides = {colours: math.isqrt(shape.channels // colours) for colours in (3, 1)}
        square = [colours for colours, side in sides.items() if colours * side * side == shape.channels]
        if not square:
            raise LimbeckError(
                f"'{modality}' has {shape.channels} channels, which are no square frames of 3 colours or of 1; give "
                "their rows and columns (frame: [48, 36])."
            )
        colours = square[0]
        rows = columns = sides[colours]
    if min(rows, columns) < SMALLEST:
        raise LimbeckError(
            f"'{modality}' has frames of {rows} x {columns} pixels; expected at least {SMALLEST} x {SMALLEST}."
        )
    return colours, rows, columns


class FrameEncoder(nn.Module):
    """What turns frames into rows: a `body`, through which frames may go in portions, and an `output` for all at once.

    Attributes
    ----------
    width : int
        Numbers per frame that it returns.
    groups : dict of str to tuple of str
        Names of its parts, or starts of such names, in the order in which they are released to learn; between them they
        cover every parameter, a parameter belonging to the first part that names it.
    chunk : int
        Frames that pass the body at a time, which bounds the memory; 0 for all. Where the body learns, all pass at
        once: their activations are needed all the same, and batch normalisation looks at them together.
    """

    width: int
    groups: dict[str, tuple[str, ...]]

    def __init__(self, body: nn.Module, output: nn.Module, *, chunk: int = 0) -> None:
        super().__init__()
        self.body, self.output, self.chunk = body, output, chunk
        self._held: frozenset[str] = frozenset()
        self._asleep: tuple[str, ...] = ()

    def forward(self, frames: Tensor) -> Tensor:
        """Return (frames, width) for (frames, colours, rows, columns)."""
        if not self.chunk or self.body.training or torch.compiler.is_compiling():
            return self.output(self.body(frames))
        return self.output(torch.cat([self.body(portion) for portion in frames.split(self.chunk)]))

    def parts(self) -> dict[str, tuple[str, ...]]:
        """Return the names of all parameters by group, in the order of `groups`."""
        found: dict[str, list[str]] = {group: [] for group in self.groups}
        for name, _ in self.named_parameters():
            found[next(group for group, starts in self.groups.items() if name.startswith(starts))].append(name)
        return {group: tuple(names) for group, names in found.items()}

    def release(self, count: int | None, *, asleep: bool = True) -> None:
        """Let the first `count` groups learn (None for all) and hold the others.

        Parameters
        ----------
        count : int or None
            Groups that learn.
        asleep : bool
            Whether held parts stay in evaluation mode (running statistics, no dropout) while the rest is trained.
        """
        parts = self.parts()
        if count is not None and not 0 <= count <= len(parts):
            raise LimbeckError(
                f"released is {count}; expected 0 to {len(parts)}, the number of groups of the backbone "
                f"({', '.join(parts)})."
            )
        groups = list(parts)[len(parts) if count is None else count :]
        self._held = frozenset(name for group in groups for name in parts[group])
        sleeping = [
            path for path, module in self.named_modules() if path and asleep and self._rests(path, module, groups)
        ]
        self._asleep = tuple(sleeping)
        self.train(self.training)

    def _rests(self, path: str, module: nn.Module, held: Sequence[str]) -> bool:
        """Return whether nothing in a part learns; one without parameters goes with its group."""
        names = [f"{path}.{name}" for name, _ in module.named_parameters()]
        if names:
            return self._held.issuperset(names)
        group = next((group for group, starts in self.groups.items() if f"{path}.".startswith(starts)), None)
        return group in held

    def held(self) -> dict[str, Tensor]:
        """Return the parameters that do not learn, cut off from any gradient."""
        return {name: value.detach() for name, value in self.named_parameters() if name in self._held}

    def train(self, mode: bool = True) -> FrameEncoder:
        """Set the mode of all parts but the held ones, which stay in evaluation mode."""
        super().train(mode)
        for path in self._asleep:
            self.get_submodule(path).eval()
        return self


# ---- IR-50 -----------------------------------------------------------------------------------------------------------


class _Unit(nn.Module):
    """Normalisation, two convolutions of which the second strides, normalisation; what came in is added."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.norm_in = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.activation = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.norm_out = nn.BatchNorm2d(width)
        self.shortcut: nn.Sequential | None = None
        if inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm_out(self.conv2(self.activation(self.conv1(self.norm_in(x)))))
        return h + (_thinned(x, self.stride) if self.shortcut is None else self.shortcut(x))


def _thinned(x: Tensor, stride: int) -> Tensor:
    """Return every `stride`-th row and column, which are as many as a padded strided convolution returns."""
    return x[..., ::stride, ::stride] if stride > 1 else x


class _Output(nn.Module):
    """The last map as a row of length 1."""

    def __init__(self, channels: int, pixels: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm_in = nn.BatchNorm2d(channels)
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(channels * pixels, embedding)
        self.norm_out = nn.BatchNorm1d(embedding)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.dropout(self.norm_in(x)).flatten(1)
        return nn.functional.normalize(self.norm_out(self.linear(h)), dim=-1)


class IR50(FrameEncoder):
    """The residual face network IR-50: (frames, colours, rows, columns) to rows of length 1.

    A convolution, then four stages of units at 1, 2, 4 and 8 times `width` channels; the last three halve rows and
    columns. Its groups are ``output``, ``stage4``, ``stage3_end`` (the last three units of the third stage) and
    ``rest``.

    Parameters
    ----------
    colours, rows, columns : int
        Of a frame; at least 8 rows and columns.
    width : int
        Channels of the first stage.
    depth : sequence of int
        Units of each of the four stages.
    embedding : int
        Numbers per frame that it returns.
    dropout : float
        Rate before the last layer.
    chunk : int
        Frames at a time, see :class:`FrameEncoder`.

    Notes
    -----
    Layers as in the code of Zhang, Tang and Guan (2022), after Deng et al., ArcFace, CVPR 2019. In training, the last
    normalisation needs two frames at least.
    """

    def __init__(
        self,
        colours: int,
        rows: int,
        columns: int,
        *,
        width: int = 64,
        depth: Sequence[int] = (3, 4, 14, 3),
        embedding: int = 512,
        dropout: float = 0.4,
        chunk: int = 0,
    ) -> None:
        if len(depth) != 4 or min(depth) < 1:
            raise LimbeckError(f"The depth of the backbone is {list(depth)}; expected units of four stages.")
        plane = torch.empty(rows, columns, device="meta")
        body = nn.Sequential()
        body.add_module(
            "stem",
            nn.Sequential(nn.Conv2d(colours, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.PReLU(width)),
        )
        widths = [width, *(width * 2**place for place in range(4))]
        for place, ((inputs, filters), units) in enumerate(zip(pairwise(widths), depth, strict=True)):
            stride = 2 if place else 1
            plane = _thinned(plane, stride)
            first = _Unit(inputs, filters, stride)
            body.add_module(
                f"stage{place + 1}", nn.Sequential(first, *(_Unit(filters, filters, 1) for _ in range(units - 1)))
            )
        super().__init__(body, _Output(widths[-1], plane.numel(), embedding, dropout), chunk=chunk)
        self.width = embedding
        end = range(max(1, depth[2] - END), depth[2])
        self.groups = {
            "output": ("output.",),
            "stage4": ("body.stage4.",),
            "stage3_end": tuple(f"body.stage3.{unit}." for unit in end),
            "rest": ("body.",),
        }


# ---- networks of timm ------------------------------------------------------------------------------------------------


class TimmEncoder(FrameEncoder):
    """A network of timm without its classifier: (frames, colours, rows, columns) to (frames, width).

    Its groups are its top-level parts, the last first; parameters outside of such parts come last, as ``rest``.

    Parameters
    ----------
    name : str
        A model of timm, such as ``"resnet18"``; never downloaded, weights come from a file.
    colours, rows, columns : int
        Of a frame.
    chunk : int
        Frames at a time, see :class:`FrameEncoder`.

    Raises
    ------
    LimbeckError
        When timm is not installed, has no such model, or the model cannot read such frames.
    """

    def __init__(self, name: str, colours: int, rows: int, columns: int, *, chunk: int = 0) -> None:
        try:
            timm = importlib.import_module("timm")  # an extra
        except ImportError as error:
            raise LimbeckError(
                f"The backbone '{name}' comes from timm, which is not installed: pip install 'limbeck[vision]'. "
                "Without it there is the backbone 'ir50'."
            ) from error
        try:
            body: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, in_chans=colours)
        except (RuntimeError, TypeError, ValueError) as error:
            raise LimbeckError(f"timm makes no backbone '{name}' for frames of {colours} colours: {error}") from error
        super().__init__(body, nn.Identity(), chunk=chunk)
        body.eval()
        try:
            with torch.no_grad():
                found = body(torch.zeros(1, colours, rows, columns))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise LimbeckError(
                f"The backbone '{name}' of timm does not read frames of {rows} x {columns} pixels: {error}"
            ) from error
        body.train()
        if found.ndim != 2:
            raise LimbeckError(
                f"The backbone '{name}' of timm returns {tuple(found.shape[1:])} for a frame; expected a row."
            )
        self.width = int(found.shape[1])
        self.classifier = str((getattr(body, "pretrained_cfg", None) or {}).get("classifier") or "")
        parts = [part for part, module in body.named_children() if any(True for _ in module.parameters())]
        self.groups = {part: (f"body.{part}.",) for part in reversed(parts)}
        if any(not name.startswith(tuple(f"{part}." for part in parts)) for name, _ in body.named_parameters()):
            self.groups["rest"] = ("body.",)


def frame_encoder(
    name: str,
    colours: int,
    rows: int,
    columns: int,
    *,
    weights: str | Path = "",
    chunk: int = 0,
    **options: Any,
) -> FrameEncoder:
    """Return ``"ir50"`` or a network of timm, with weights from a file.

    Parameters
    ----------
    name : str
        ``"ir50"`` or a model of timm.
    colours, rows, columns : int
        Of a frame.
    weights : path or ""
        A safetensors file; of IR-50 as :func:`convert_weights` writes it, of timm as published with the model. It holds
        every weight, in the right shape; only the output layer of IR-50 may be missing as a whole (one trained on
        frames of another size does not fit) and then starts anew.
    chunk : int
        Frames at a time, see :class:`FrameEncoder`.
    **options
        Of :class:`IR50`.
    """
    if name == "ir50":
        made: FrameEncoder = IR50(colours, rows, columns, chunk=chunk, **options)
        if weights:
            _load(made, Path(weights), optional="output.")
    else:
        made = encoder = TimmEncoder(name, colours, rows, columns, chunk=chunk)
        if weights:
            _load(encoder.body, Path(weights), ignored=encoder.classifier)
    return made


# ---- weights from files ----------------------------------------------------------------------------------------------

SAFETENSORS = ".safetensors"


def _load(module: nn.Module, file: Path, *, optional: str = "", ignored: str = "") -> None:
    """Copy the weights of a safetensors file into a module, all of them or none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise LimbeckError(f"There is no file of weights '{file}'.")
    if file.suffix != SAFETENSORS:
        raise LimbeckError(
            f"'{file}' is no {SAFETENSORS} file; limbeck.models.ir50.convert_weights makes one from weights of IR-50 "
            "that torch saved."
        )
    try:
        given = load_file(file)
    except SafetensorError as error:
        raise ReadError(file, found=str(error), expected="a safetensors file") from error
    wanted = module.state_dict()
    given = {name: value for name, value in given.items() if not (ignored and name.startswith(f"{ignored}."))}
    missing = [name for name in wanted if name not in given and not name.endswith("num_batches_tracked")]
    if optional and not any(name.startswith(optional) for name in given):
        missing = [name for name in missing if not name.startswith(optional)]
    wrong = [
        f"'{name}' of shape {tuple(value.shape)} instead of {tuple(wanted[name].shape)}"
        for name, value in given.items()
        if name in wanted and value.shape != wanted[name].shape
    ]
    mistakes = [
        f"{what} {_some(names)}"
        for what, names in (
            ("without", [f"'{name}'" for name in missing]),
            ("with unknown", [f"'{name}'" for name in given if name not in wanted]),
            ("with", wrong),
        )
        if names
    ]
    if mistakes:
        raise ReadError(
            file,
            found="weights " + ", ".join(mistakes),
            expected="those of the backbone",
            advice="Compare its options (width, depth, frame); convert_weights(..., output=False) leaves an output "
            "layer out that belongs to frames of another size."
            if wrong and optional
            else "",
        )
    module.load_state_dict(given, strict=False)


def _some(names: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


_RESIDUAL = {"0": "norm_in", "1": "conv1", "2": "activation", "3": "conv2", "4": "norm_out"}
_LAST = {"0": "norm_in", "3": "linear", "4": "norm_out"}
_OTHERS = ("logits.", "temporal.", "regressor.")
"""Parts of published networks that stand beside the backbone."""


def convert_weights(
    source: str | Path, target: str | Path, *, depth: Sequence[int] = (3, 4, 14, 3), output: bool = True
) -> Path:
    """Write published weights of IR-50 as a safetensors file that a backbone loads.

    Parameters
    ----------
    source : path
        What ``torch.save`` made of a state dict of IR-50, alone or within a network that holds it as ``backbone`` or
        ``spatial``; read without running code from it.
    target : path
        The safetensors file to write.
    depth : sequence of int
        Units of each stage.
    output : bool
        Whether to take the output layer over; False for weights that were trained on frames of another size.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ReadError
        When the file holds anything but tensors, or tensors that IR-50 does not have.
    """
    import pickle

    from safetensors.torch import save_file

    source, target = Path(source), Path(target)
    if not source.is_file():
        raise LimbeckError(f"There is no file of weights '{source}'.")
    if target.suffix != SAFETENSORS:
        raise LimbeckError(f"'{target}' is to hold safetensors; let its name end in {SAFETENSORS}.")
    try:
        state = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ReadError(
            source, found=f"no plain weights ({str(error).partition(chr(10))[0]})", expected="a state dict of tensors"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ReadError(source, found=type(state).__name__, expected="a state dict of tensors")
    renamed: dict[str, Tensor] = {}
    unknown = []
    for name, value in state.items():
        bare = re.sub(r"^(module\.|backbone\.|spatial\.)+", "", str(name))
        if bare.startswith(_OTHERS):
            continue
        ours = _our_name(bare, depth)
        if ours is None:
            unknown.append(f"'{name}'")
        elif output or not ours.startswith("output."):
            renamed[ours] = value.detach().clone().contiguous()
    if unknown or not renamed:
        raise ReadError(
            source,
            found=f"weights {_some(unknown)}" if unknown else "no weights",
            expected=f"those of an IR-50 with {list(depth)} units",
        )
    return write_atomically(target, lambda file: save_file(renamed, file))


def _our_name(name: str, depth: Sequence[int]) -> str | None:
    """Return the name here of a weight by its published name; None for one that is not known."""
    if found := re.fullmatch(r"input_layer\.([012])\.(\w+)", name):
        return f"body.stem.{found[1]}.{found[2]}"
    if found := re.fullmatch(r"output_layer\.([034])\.(\w+)", name):
        return f"output.{_LAST[found[1]]}.{found[2]}"
    if found := re.fullmatch(r"body\.(\d+)\.(?:res_layer\.([0-4])|shortcut_layer\.([01]))\.(\w+)", name):
        unit = int(found[1])
        for stage, units in enumerate(depth, start=1):
            if unit < units:
                part = _RESIDUAL[found[2]] if found[2] else f"shortcut.{found[3]}"
                return f"body.stage{stage}.{unit}.{part}.{found[4]}"
            unit -= units
    return None
