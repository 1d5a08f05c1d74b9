"""Losses that need no label and no teacher: what a network learns from windows alone, before it learns the task.

None of them trains the prediction. A stage of such losses is one to start from; what they add to the network (decoders,
projectors, heads) is left behind. They see training windows only, like every loss.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from limbeck.augment import Mask, Transformations
from limbeck.distillation import functional
from limbeck.distillation.contract import LOSSES, Batch, Context, Loss, Said, number, whole
from limbeck.distillation.functional.weighting import resize_matrix, weighted_mean
from limbeck.distillation.terms.contrast import near
from limbeck.distillation.terms.cotraining import feature_of, partner_of
from limbeck.errors import LimbeckError
from limbeck.models.contract import InputShape, Outputs
from limbeck.models.masked_autoencoder import PatchDecoder, PatchEncoder
from limbeck.models.projector import ContrastiveProjector, Predictor, PrototypeProjector
from limbeck.models.ssl_ecg import TRANSFORMATIONS, TaskHead
from limbeck.models.xkd import cross_modal_attention, refine

__all__ = ["BYOL", "XKD", "Contrast", "Filling", "Hiding", "Match", "Reconstruct", "TellApart"]

FLOOR = 1e-6
"""Added to the variance of a patch before its root."""

VIEWS = ("second", "second_other")
"""Two sights of which each is changed at random, independently of the other."""


# ---- masked reconstruction -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hiding:
    """A change of windows that hides a share of the patches of each modality.

    Parameters
    ----------
    share : float
        Of the patches that are hidden; at least one is, and at least one is not.
    patch, count : mapping of str to int
        Samples (or columns of a row of features) of a patch, and patches of a window, by modality. What lies behind the
        last whole patch is never hidden.
    blank : bool
        Whether hidden samples become NaN, for networks that leave such patches out; otherwise zero, the mean of
        normalised windows.
    normalise : bool
        Whether what is to be filled in is normalised patch by patch; rows of features never are.
    """

    share: float
    patch: Mapping[str, int]
    count: Mapping[str, int]
    blank: bool
    normalise: bool

    def noise(self, batch: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw which patches are hidden: by modality (batch, patches), float32, 1 for hidden ones."""
        return {
            name: Mask(self.share, count).noise({name: (batch, count)}, rng)[name]["hidden"]
            for name, count in self.count.items()
        }

    def apply(
        self, inputs: Mapping[str, Tensor], noise: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return windows of which a part is hidden, with what was hidden and what would have to be filled in.

        Returns
        -------
        inputs : dict of str to Tensor
            Of the same shapes. A sensor that is absent (NaN) stays so.
        notes : dict of str to Tensor
            ``hidden.<modality>`` (..., batch, patches), 1 for hidden patches; ``patches.<modality>``
            (..., batch, patches, values), NaN where the sensor is absent.
        """
        shown, notes = {}, {}
        for name, x in inputs.items():
            hidden = noise[name].to(x.dtype)
            rows = x.ndim == hidden.ndim
            signal = x.unsqueeze(-2) if rows else x
            spread = hidden.repeat_interleave(self.patch[name], dim=-1)
            spread = nn.functional.pad(spread, (0, x.shape[-1] - spread.shape[-1])).unsqueeze(-2)
            blanked = torch.where((spread > 0.5) & ~signal.isnan(), torch.nan if self.blank else 0.0, signal)
            shown[name] = blanked.squeeze(-2) if rows else blanked
            patches = self._patches(name, signal)
            notes[f"hidden.{name}"] = hidden
            notes[f"patches.{name}"] = _normalised(patches) if self.normalise and not rows else patches
        return shown, notes

    def _patches(self, name: str, signal: Tensor) -> Tensor:
        """Return (..., patches, channels * samples) of a signal (..., channels, time)."""
        patch, count = self.patch[name], self.count[name]
        return signal[..., : patch * count].unflatten(-1, (count, patch)).transpose(-3, -2).flatten(-2)


def _normalised(patches: Tensor) -> Tensor:
    """Bring each patch to mean 0 and variance 1; one of a single number stays as it is."""
    if patches.shape[-1] == 1:
        return patches
    centred = patches - patches.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + FLOOR).sqrt()


class Filling(nn.Module):
    """Fills in what was hidden from a network's windows, and says how wrong it was.

    A network that offers its encoders of patches (`masked_autoencoder`, `xkd`) never sees hidden ones, and a small
    transformer fills them in; any other sees zeros in their place, and a perceptron that all patches share fills each
    in from one feature and from where it lies.

    Parameters
    ----------
    network : nn.Module
        Whose windows; it is not kept.
    inputs : mapping of str to InputShape
        What it reads.
    features : mapping of str to tuple of int
        Its features.
    feature : str
        What a network without patches is filled in from: a vector, or a map (channels, time).
    sequence : bool
        Whether that is a sequence (steps, width) instead.
    share, blocks : float, int
        Of Hiding; a network of patches has its own number of them.
    width, depth : int
        Of the decoder; `depth` blocks of the transformer.
    normalise : bool
        Whether patches of signals are normalised before they are compared.

    Attributes
    ----------
    change : Hiding
        What makes the windows of which a part is hidden.
    """

    def __init__(
        self,
        network: nn.Module,
        inputs: Mapping[str, InputShape],
        features: Mapping[str, tuple[int, ...]],
        *,
        feature: str,
        share: float,
        blocks: int,
        width: int,
        depth: int,
        normalise: bool,
        sequence: bool = False,
        option: str = "feature",
    ) -> None:
        super().__init__()
        self.feature = feature
        encoders: Mapping[str, PatchEncoder] = getattr(network, "patch_encoders", {})
        if encoders:
            patch = {name: size for encoder in encoders.values() for name, size in encoder.patch.items()}
            count = {name: size for encoder in encoders.values() for name, size in encoder.n_tokens.items()}
            self.decoders = nn.ModuleDict(
                {
                    name: PatchDecoder(encoder, width=width, depth=depth, heads=4, feed_forward=4 * width, dropout=0.0)
                    for name, encoder in encoders.items()
                }
            )
            self.reads = {name: tuple(encoder.n_tokens) for name, encoder in encoders.items()}
        else:
            lengths = {name: shape.channels if shape.is_feature else shape.length for name, shape in inputs.items()}
            short = [name for name, length in lengths.items() if length < 2]
            if short:
                raise LimbeckError(
                    f"inputs: windows of {', '.join(short)} have one value each, of which no part can be hidden; leave "
                    "them out of this stage."
                )
            patch = {name: max(1, length // blocks) for name, length in lengths.items()}
            count = {name: length // patch[name] for name, length in lengths.items()}
            values = {n: patch[n] * (1 if shape.is_feature else shape.channels) for n, shape in inputs.items()}
            whose = feature_of(features, feature, option, "the network")
            decoder = _SharedDecoder(whose, count, values, width, sequence=sequence)
            self.decoders = nn.ModuleDict({feature: decoder})
            self.reads = {}
        self.change = Hiding(share, patch, count, blank=bool(encoders), normalise=normalise)

    def forward(self, outputs: Outputs, notes: Mapping[str, Tensor], weights: Tensor) -> Tensor:
        """Return the mean squared error of the hidden patches, each counting the same whatever its size.

        Parameters
        ----------
        outputs : Outputs
            Of the network, for the windows of which a part was hidden.
        notes : mapping of str to Tensor
            What Hiding left.
        weights : Tensor of shape (batch,)
            Weight of each window.
        """
        filled = self.fill(outputs, notes)
        errors, counted = [], []
        for name, predicted in filled.items():
            target, there = notes[f"patches.{name}"], _there(notes, name)
            gap = predicted - torch.where(target.isnan(), 0.0, target)
            errors.append(gap.square().mean(dim=-1))
            counted.append(notes[f"hidden.{name}"] * there * weights[:, None])
        return weighted_mean(torch.cat(errors, dim=-1), torch.cat(counted, dim=-1))

    def fill(self, outputs: Outputs, notes: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return all patches by modality, (batch, patches, values)."""
        filled: dict[str, Tensor] = {}
        for feature, decoder in self.decoders.items():
            if self.reads:
                shown = [(1.0 - notes[f"hidden.{name}"]) * _there(notes, name) for name in self.reads[feature]]
                filled |= decoder(outputs.features[feature], torch.cat(shown, dim=-1) > 0.5)
            else:
                filled |= decoder(outputs.features[feature])
        return filled


def _there(notes: Mapping[str, Tensor], name: str) -> Tensor:
    """Return 1 for the patches (batch, patches) of sensors that are there."""
    target = notes[f"patches.{name}"]
    return (~target.isnan().any(dim=-1)).to(target.dtype)


class _SharedDecoder(nn.Module):
    """From one feature to all patches: the same two layers for each, which are told where the patch lies."""

    def __init__(
        self,
        shape: tuple[int, ...],
        count: Mapping[str, int],
        values: Mapping[str, int],
        width: int,
        *,
        sequence: bool,
    ) -> None:
        super().__init__()
        if sequence and len(shape) != 2:
            raise LimbeckError(f"sequence: the feature has the shape {shape}; expected (steps, width).")
        self.is_sequence, self.is_map = sequence, len(shape) > 1
        *rest, steps = reversed(shape) if sequence else shape
        self.read = nn.Linear(math.prod(rest) if self.is_map else steps, width)
        self.places = nn.ParameterDict({name: 0.02 * torch.randn(n, width) for name, n in count.items()})
        self.middle = nn.Linear(width, width)
        self.out = nn.ModuleDict({name: nn.Linear(width, n) for name, n in values.items()})
        if self.is_map:
            for name, n in count.items():
                self.register_buffer(f"_times_of_{name}", resize_matrix(steps, n).float(), persistent=False)

    def forward(self, feature: Tensor) -> dict[str, Tensor]:
        """Return (batch, patches, values) by modality."""
        series = feature.transpose(-2, -1) if self.is_sequence else feature
        filled = {}
        for name, places in self.places.items():
            if self.is_map:
                code = (series.flatten(1, -2) @ self.get_buffer(f"_times_of_{name}")).transpose(-2, -1)
            else:
                code = feature.unsqueeze(-2)
            h = nn.functional.gelu(self.read(code) + places)
            filled[name] = self.out[name](nn.functional.gelu(self.middle(h)))
        return filled


@LOSSES.register("reconstruct")
class Reconstruct(Loss):
    """Masked reconstruction: parts of every window are hidden, and the network learns what allows to fill them in.

    `masked_autoencoder` and `xkd` never see hidden patches, as published; other networks see zeros in their place. The
    error is that of hidden patches only; patches of an absent sensor do not count.

    Parameters
    ----------
    weight : float
        Factor in the total.
    feature : str
        What a network without patches is filled in from; not read of the two that have them. A map (channels, time)
        says where in the window something is; from a feature that is a mean over time little can be filled in.
    sequence : bool
        Whether that feature is a sequence (steps, width), as transformers have it, instead of a map.
    share : float
        Of the patches that are hidden; 0.5 to 0.75 suits physiological signals.
    blocks : int
        Patches of a window, of a network without patches; fewer where there are fewer samples.
    width, depth : int
        Of the decoder; the width a multiple of 4.
    normalise : bool
        Whether patches of signals are normalised before they are compared, so that slow drifts do not count for all.
    """

    paper: ClassVar[str] = (
        "He, Chen, Xie, Li, Dollár and Girshick, Masked autoencoders are scalable vision learners, CVPR 2022"
    )
    sights = ("masked",)

    def __init__(
        self,
        weight: float = 1.0,
        feature: str = "embedding",
        sequence: bool = False,
        share: float = 0.6,
        blocks: int = 24,
        width: int = 32,
        depth: int = 2,
        normalise: bool = True,
    ) -> None:
        super().__init__(weight)
        self.feature, self.sequence, self.normalise = feature, bool(sequence), bool(normalise)
        self.share = _share(share)
        self.blocks, self.width, self.depth = whole("blocks", blocks, 2), _width(width), whole("depth", depth)

    def join(self, context: Context) -> None:
        """Make the decoder.

        Raises
        ------
        LimbeckError
            When the network lacks the feature, or reads windows of which nothing can be hidden.
        """
        self.filling = Filling(
            context.networks[""],
            context.inputs,
            context.features,
            feature=self.feature,
            share=self.share,
            blocks=self.blocks,
            width=self.width,
            depth=self.depth,
            normalise=self.normalise,
            sequence=self.sequence,
        )

    def changes(self) -> Mapping[str, Any]:
        """Parts of the windows are hidden."""
        return {"masked": self.filling.change}

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the error of the hidden patches."""
        value = self.filling(said.network["masked"], batch.sights["masked"].notes, self.weights(batch))
        return value, {"reconstruct": value}


# ---- contrast --------------------------------------------------------------------------------------------------------


@LOSSES.register("contrast")
class Contrast(Loss):
    """SimCLR: two random changes of a window are found again among those of all windows of the batch.

    Parameters
    ----------
    weight : float
        Factor in the total.
    feature : str
        What is projected.
    temperature : float
        Cosines are divided by it.
    hidden, outputs : int
        Widths of the projector.
    apart : int
        Windows whose places in the data set differ by no more than this are no negatives of each other: neighbours of
        a recording, which overlap or resemble each other. 0 leaves out a window's own repetition only.
    """

    paper: ClassVar[str] = (
        "Chen, Kornblith, Norouzi and Hinton, A simple framework for contrastive learning of visual representations, "
        "ICML 2020"
    )
    fewest = 2
    sights = VIEWS

    def __init__(
        self,
        weight: float = 1.0,
        feature: str = "embedding",
        temperature: float = 0.1,
        hidden: int = 128,
        outputs: int = 64,
        apart: int = 1,
    ) -> None:
        super().__init__(weight)
        self.feature, self.temperature = feature, number("temperature", temperature, above=0.0)
        self.hidden, self.outputs = whole("hidden", hidden), whole("outputs", outputs)
        self.apart = whole("apart", apart, 0)

    @property
    def student_features(self) -> tuple[str, ...]:
        """The network's feature."""
        return (self.feature,)

    def join(self, context: Context) -> None:
        """Make the projector.

        Raises
        ------
        LimbeckError
            When the network lacks the feature.
        """
        width = math.prod(feature_of(context.features, self.feature, "feature", "the network"))
        self.projector = ContrastiveProjector(width, hidden=self.hidden, outputs=self.outputs)

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the cross-entropy of finding the other view."""
        seen = torch.cat([said.network[view].features[self.feature].flatten(1) for view in VIEWS])
        first, second = self.projector(seen).chunk(2)
        value = functional.nt_xent(
            first,
            second,
            self.weights(batch),
            temperature=self.temperature,
            excluded=near(batch.index, batch.index, self.apart),
        )["nt_xent"]
        return value, {"contrast": value}


@LOSSES.register("byol")
class BYOL(Loss):
    """BYOL: from one random change of a window the network predicts what its slow average makes of another one.

    Nothing is pushed apart. The average is a partner with ``learns: average``; its projector follows the network's at
    the same pace here.

    Parameters
    ----------
    weight : float
        Factor in the total.
    partner : str
        The average.
    feature : str
        What is projected.
    hidden, outputs : int
        Widths of the projectors and of the predictor.
    momentum : float
        Share of itself that the slow projector keeps in a step; best that of the partner.
    """

    paper: ClassVar[str] = "Grill et al., Bootstrap your own latent, NeurIPS 2020"
    sights = ("second",)

    def __init__(
        self,
        weight: float = 1.0,
        partner: str = "average",
        feature: str = "embedding",
        hidden: int = 128,
        outputs: int = 64,
        momentum: float = 0.99,
    ) -> None:
        super().__init__(weight)
        self.partner, self.feature = partner, feature
        self.hidden, self.outputs = whole("hidden", hidden), whole("outputs", outputs)
        self.momentum = number("momentum", momentum, least=0.0, most=1.0)

    @property
    def student_features(self) -> tuple[str, ...]:
        """The network's feature."""
        return (self.feature,)

    @property
    def partner_sights(self) -> Mapping[str, tuple[str, ...]]:
        """The average sees windows that are changed for it alone."""
        return {self.partner: ("second",)}

    def join(self, context: Context) -> None:
        """Make the projectors and the predictor.

        Raises
        ------
        LimbeckError
            When the network lacks the feature, or there is no such average.
        """
        partner_of(context, self.partner, learns="average")
        width = math.prod(feature_of(context.features, self.feature, "feature", "the network"))
        self.projector = ContrastiveProjector(width, hidden=self.hidden, outputs=self.outputs)
        self.predictor = Predictor(self.outputs, hidden=self.hidden)
        self.slow = _copy(self.projector)

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the squared distance between the prediction and what the average makes of the other view."""
        if self.training:
            _follow(self.slow, self.projector, self.momentum)
        own = self.predictor(self.projector(said.network["second"].features[self.feature].flatten(1)))
        other = self.slow(said.partners[self.partner]["second"].features[self.feature].flatten(1)).detach()
        value = functional.byol_regression(own, other, self.weights(batch))["byol"]
        return value, {"byol": value}


@LOSSES.register("match")
class Match(Loss):
    """Cross-modal matching: what one sensor shows and what another shows of the same window are found by each other.

    The partner reads other modalities and learns as well, so that a stage can start from either.

    Parameters
    ----------
    weight : float
        Factor in the total.
    partner : str
        The network that reads the other modalities.
    student, teacher : str
        Names of the features of the network and of the partner that are projected.
    temperature : float
        Cosines are divided by it.
    hidden, outputs : int
        Widths of the projectors.
    apart : int
        Windows whose places in the data set differ by no more than this are no negatives of each other.
    """

    paper: ClassVar[str] = (
        "van den Oord, Li and Vinyals, Representation learning with contrastive predictive coding, 2018"
    )
    fewest = 2

    def __init__(
        self,
        weight: float = 1.0,
        partner: str = "other",
        student: str = "embedding",
        teacher: str = "embedding",
        temperature: float = 0.1,
        hidden: int = 128,
        outputs: int = 64,
        apart: int = 1,
    ) -> None:
        super().__init__(weight)
        self.partner, self.student, self.teacher = partner, student, teacher
        self.temperature = number("temperature", temperature, above=0.0)
        self.hidden, self.outputs = whole("hidden", hidden), whole("outputs", outputs)
        self.apart = whole("apart", apart, 0)

    @property
    def student_features(self) -> tuple[str, ...]:
        """The network's feature."""
        return (self.student,)

    @property
    def partner_sights(self) -> Mapping[str, tuple[str, ...]]:
        """The partner sees the windows as they are."""
        return {self.partner: ("plain",)}

    def join(self, context: Context) -> None:
        """Make the projectors.

        Raises
        ------
        LimbeckError
            When a feature or the partner is not there.
        """
        features = partner_of(context, self.partner)
        own = math.prod(feature_of(context.features, self.student, "student", "the network"))
        other = math.prod(feature_of(features, self.teacher, "teacher", f"the partner '{self.partner}'"))
        self.projector = ContrastiveProjector(own, hidden=self.hidden, outputs=self.outputs)
        self.partner_projector = ContrastiveProjector(other, hidden=self.hidden, outputs=self.outputs)

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the cross-entropy of finding each other, the mean of both directions."""
        beside = said.partners[self.partner]["plain"].features[self.teacher]
        value = functional.info_nce(
            self.projector(said.plain.features[self.student].flatten(1)),
            self.partner_projector(beside.flatten(1)),
            self.weights(batch),
            temperature=self.temperature,
            excluded=near(batch.index, batch.index, self.apart),
        )["info_nce"]
        return value, {"match": value}


# ---- transformations -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Transforming:
    """The change of windows by one of the seven transformations."""

    shapes: Mapping[str, tuple[int, int]]
    kinds: Transformations = field(default_factory=Transformations)

    def noise(self, batch: int, rng: np.random.Generator) -> dict[str, Any]:
        """Draw which one, and all that is random in it."""
        return self.kinds.noise({name: (batch, *shape) for name, shape in self.shapes.items()}, rng)

    def apply(
        self, inputs: Mapping[str, Tensor], noise: Mapping[str, Any]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return transformed windows, and ``kind``, which transformation it was."""
        changed, kind = self.kinds.apply(inputs, noise)
        return changed, {"kind": kind}


@LOSSES.register("transformations")
class TellApart(Loss):
    """Transformation recognition: the network learns what tells how a window was changed.

    Seven kinds, the untouched window among them; a head of its own says yes or no to each. Here one kind is drawn for
    each window, where the published code shows every window in all of them.

    Parameters
    ----------
    weight : float
        Factor in the total.
    feature : str
        What the heads read.
    hidden : int
        Width of their two hidden layers.
    dropout : float
        Rate after each.
    """

    paper: ClassVar[str] = (
        "Sarkar and Etemad, Self-supervised ECG representation learning for emotion recognition, IEEE Transactions on "
        "Affective Computing 13(3), 2022"
    )
    sights = ("transformed",)

    def __init__(
        self, weight: float = 1.0, feature: str = "embedding", hidden: int = 128, dropout: float = 0.6
    ) -> None:
        super().__init__(weight)
        self.feature, self.hidden = feature, whole("hidden", hidden)
        self.dropout = number("dropout", dropout, least=0.0)
        if self.dropout >= 1.0:
            raise LimbeckError(f"dropout: expected a share below 1, found {dropout!r}.")

    @property
    def student_features(self) -> tuple[str, ...]:
        """The network's feature."""
        return (self.feature,)

    def join(self, context: Context) -> None:
        """Make the heads.

        Raises
        ------
        LimbeckError
            When the network lacks the feature, or reads what has no time to be transformed.
        """
        unfit = [name for name, shape in context.inputs.items() if shape.is_feature or shape.length < 2]
        if unfit:
            raise LimbeckError(
                f"inputs: {', '.join(unfit)} has no time that could be transformed; pre-train on signals, or take "
                "reconstruct."
            )
        width = math.prod(feature_of(context.features, self.feature, "feature", "the network"))
        self.change = _Transforming({name: (s.channels, s.length) for name, s in context.inputs.items()})
        self.heads = nn.ModuleList(TaskHead(width, self.hidden, self.dropout) for _ in TRANSFORMATIONS)
        self.register_buffer("parts", torch.tensor(list(TRANSFORMATIONS.values())), persistent=False)

    def changes(self) -> Mapping[str, Any]:
        """One transformation per window."""
        return {"transformed": self.change}

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum over the heads of their cross-entropy."""
        feature = said.network["transformed"].features[self.feature].flatten(1)
        logits = torch.cat([head(feature) for head in self.heads], dim=-1)
        true = nn.functional.one_hot(batch.sights["transformed"].notes["kind"], len(self.heads)).to(logits)
        surprise = nn.functional.softplus(logits) - true * logits
        value = weighted_mean((surprise * self.get_buffer("parts")).sum(dim=-1), self.weights(batch))
        return value, {"transformations": value}


# ---- XKD -------------------------------------------------------------------------------------------------------------


@LOSSES.register("xkd")
class XKD(Loss):
    """XKD for biosignals: two networks of different sensors fill in what was hidden, and each learns from the other.

    Both see windows of which parts are hidden. Each fills its own in; each is told by the slow average of the *other*,
    which sees whole windows, how windows spread over learnt directions; and the distributions of both over these
    directions are aligned. The value is (5 · reconstruction + distillation + alignment) / 7 with the published factors
    (their sum divides, whatever they are), reconstruction and distillation being means of both directions.

    Partners: the other network, which ``learns: gradient``; an average of the network (``learns: average``); and one of
    the other network (``learns: average, of: other``). Local views, which the published networks see besides, are left
    out.

    Parameters
    ----------
    weight : float
        Factor in the total.
    partner, average, partner_average : str
        The three partners.
    student, teacher : str
        Features of the network and of the partner that are projected, and filled in from where a network has no
        patches. Where a network offers the attention of its summary (`xkd`), its average's tokens are weighed by it
        first.
    share, blocks, width, depth : float, int
        Of the reconstruction.
    projector, bottleneck, outputs : int
        Widths of the projectors' hidden and narrow layers, and directions.
    reconstruction, distillation, alignment : float
        Factors of the three parts.
    temperature, average_temperature, partner_temperature : float
        Of the projections that learn, of the network's average, and of the partner's average.
    centre : float
        Share of itself that the mean of an average's projections, which is taken off them, keeps in a step.
    momentum : float
        Share of itself that a slow projector keeps in a step; best that of the averages.
    as_released : bool
        Weigh the averages' tokens by what is published as attention across modalities, which lets a single number per
        head pass from one to the other, and halve the alignment beside one of the two averages, which has no gradient.
    """

    paper: ClassVar[str] = (
        "Sarkar and Etemad, XKD: cross-modal knowledge distillation with domain alignment for video representation "
        "learning, AAAI 2024"
    )
    fewest = 2
    sights = ("masked",)

    def __init__(
        self,
        weight: float = 1.0,
        partner: str = "other",
        average: str = "average",
        partner_average: str = "other_average",
        student: str = "embedding",
        teacher: str = "embedding",
        share: float = 0.6,
        blocks: int = 24,
        width: int = 64,
        depth: int = 2,
        projector: int = 512,
        bottleneck: int = 64,
        outputs: int = 1024,
        reconstruction: float = 5.0,
        distillation: float = 1.0,
        alignment: float = 1.0,
        temperature: float = 0.1,
        average_temperature: float = 0.1,
        partner_temperature: float = 0.07,
        centre: float = 0.9,
        momentum: float = 0.99,
        as_released: bool = False,
    ) -> None:
        super().__init__(weight)
        self.partner, self.average, self.partner_average = partner, average, partner_average
        self.student, self.teacher = student, teacher
        self.share = _share(share)
        self.blocks, self.width, self.depth = whole("blocks", blocks, 2), _width(width), whole("depth", depth)
        self.projector, self.bottleneck = whole("projector", projector), whole("bottleneck", bottleneck)
        self.outputs = whole("outputs", outputs, 2)
        self.parts = {
            name: number(name, value, least=0.0)
            for name, value in (
                ("reconstruction", reconstruction),
                ("distillation", distillation),
                ("alignment", alignment),
            )
        }
        if not any(self.parts.values()):
            raise LimbeckError("reconstruction: all three factors are 0; expected one above 0.")
        self.temperature = number("temperature", temperature, above=0.0)
        self.softness = (
            number("average_temperature", average_temperature, above=0.0),
            number("partner_temperature", partner_temperature, above=0.0),
        )
        self.centre = number("centre", centre, least=0.0, most=1.0)
        self.momentum = number("momentum", momentum, least=0.0, most=1.0)
        self.as_released = bool(as_released)

    @property
    def student_features(self) -> tuple[str, ...]:
        """The network's feature."""
        return (self.student,)

    @property
    def partner_sights(self) -> Mapping[str, tuple[str, ...]]:
        """The other network sees what the network sees; averages see whole windows."""
        return {self.partner: ("masked",), self.average: ("plain",), self.partner_average: ("plain",)}

    def join(self, context: Context) -> None:
        """Make decoders, projectors and centres.

        Raises
        ------
        LimbeckError
            When a feature or one of the partners is not there, or learns otherwise.
        """
        beside = partner_of(context, self.partner, learns="gradient")
        partner_of(context, self.average, learns="average")
        partner_of(context, self.partner_average, learns="average")
        both = {
            "own": ("", context.inputs, context.features, self.student, "student"),
            "other": (self.partner, context.partner_inputs[self.partner], beside, self.teacher, "teacher"),
        }
        self.fillings, self.projectors = nn.ModuleDict(), nn.ModuleDict()
        self.changed = {}
        for side, (network, inputs, features, feature, option) in both.items():
            whose = f"the partner '{network}'" if network else "the network"
            width = math.prod(feature_of(features, feature, option, whose))
            filling = Filling(
                context.networks[network],
                inputs,
                features,
                feature=feature,
                share=self.share,
                blocks=self.blocks,
                width=self.width,
                depth=self.depth,
                normalise=True,
                option=option,
            )
            self.fillings[side] = filling
            self.changed[f"{network}/masked" if network else "masked"] = filling.change
            self.projectors[side] = PrototypeProjector(
                width, hidden=self.projector, bottleneck=self.bottleneck, outputs=self.outputs
            )
            self.register_buffer(f"centre_of_{side}", torch.zeros(self.outputs))
        self.slow = _copy(self.projectors)
        attended = [[name for name in shapes if name.startswith("attention_")] for shapes in (context.features, beside)]
        if self.as_released and [len(names) for names in attended] != [1, 1]:
            raise LimbeckError(
                "as_released: it needs two networks that offer the attention of their summary, each for one modality; "
                "take the model xkd with one modality for both."
            )

    def changes(self) -> Mapping[str, Any]:
        """Parts of the windows of both networks are hidden."""
        return self.changed

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum of the three parts over the sum of their factors."""
        weights = self.weights(batch)
        masked = {"own": said.network["masked"], "other": said.partners[self.partner]["masked"]}
        notes = {"own": batch.sights["masked"].notes, "other": batch.sights[f"{self.partner}/masked"].notes}
        filled = [self.fillings[side](masked[side], notes[side], weights) for side in masked]
        if self.training:
            _follow(self.slow, self.projectors, self.momentum)
        features = {"own": self.student, "other": self.teacher}
        learning = {
            side: self.projectors[side](outputs.features[features[side]].flatten(1)) for side, outputs in masked.items()
        }
        steady = self.steady(said)
        pulls = [
            self._pull(learning["other"], steady["own"], "own", weights),
            self._pull(learning["own"], steady["other"], "other", weights),
        ]
        aligned = functional.mmd(learning["own"], learning["other"], weights, kernel="gammas")["mmd"]
        if self.as_released:
            constant = functional.mmd(steady["own"], steady["other"], weights, kernel="gammas")["mmd"]
            aligned = 0.5 * (aligned + constant)
        if self.training:
            self._move_centres(steady, weights)
        terms = {
            "reconstruction": torch.stack(filled).mean(),
            "distillation": torch.stack(pulls).mean(),
            "alignment": aligned,
        }
        total = torch.stack([self.parts[name] * value for name, value in terms.items()]).sum()
        return total / sum(self.parts.values()), terms

    def steady(self, said: Said) -> dict[str, Tensor]:
        """Return the projections of whole windows by both averages, without gradient: (batch, outputs)."""
        heard = {
            "own": (said.partners[self.average]["plain"], self.student),
            "other": (said.partners[self.partner_average]["plain"], self.teacher),
        }
        attention = {
            side: {n: value for n, value in outputs.features.items() if n.startswith("attention_")}
            for side, (outputs, _) in heard.items()
        }
        if self.as_released:
            ((own_name, own),) = attention["own"].items()
            ((other_name, other),) = attention["other"].items()
            attention = {
                "own": {own_name: cross_modal_attention(own, other)},
                "other": {other_name: cross_modal_attention(other, own)},
            }
        found = {}
        for side, (outputs, feature) in heard.items():
            refined = [
                refine(outputs.features[name.removeprefix("attention_")], paid).mean(dim=-2)
                for name, paid in attention[side].items()
            ]
            code = torch.cat(refined, dim=-1) if refined else outputs.features[feature].flatten(1)
            found[side] = self.slow[side](code).detach()  # type: ignore[index]
        return found

    def _pull(self, learning: Tensor, steady: Tensor, side: str, weights: Tensor) -> Tensor:
        """Return the cross-entropy of what learns with the sharpened, centred distribution of an average."""
        softness = self.softness[0 if side == "own" else 1]
        wanted = torch.softmax((steady - self.get_buffer(f"centre_of_{side}")) / softness, dim=-1)
        return weighted_mean(-(wanted * torch.log_softmax(learning / self.temperature, dim=-1)).sum(dim=-1), weights)

    @torch.no_grad()
    def _move_centres(self, steady: Mapping[str, Tensor], weights: Tensor) -> None:
        for side, projected in steady.items():
            mean = (projected * weights[:, None]).sum(dim=0) / weights.sum().clamp_min(1e-12)
            centre = self.get_buffer(f"centre_of_{side}")
            centre.copy_(self.centre * centre + (1.0 - self.centre) * mean)


# ---- what they share -------------------------------------------------------------------------------------------------


def _copy(module: nn.Module) -> nn.Module:
    """Return a copy that no gradient trains."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def _follow(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    """Move a slow copy towards its original, in place; running statistics are its own."""
    for own, other in zip(slow.parameters(), fast.parameters(), strict=True):
        own.copy_(momentum * own + (1.0 - momentum) * other.detach())


def _share(value: float) -> float:
    share = number("share", value, above=0.0)
    if share >= 1.0:
        raise LimbeckError(f"share: expected a share below 1, found {value!r}; something has to be shown.")
    return share


def _width(value: int) -> int:
    if whole("width", value, 4) % 4:
        raise LimbeckError(f"width: expected a multiple of 4 (heads of attention), found {value!r}.")
    return value
