"""Losses that bring the features of network and teacher together as clouds, whichever window lies where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from limbeck.distillation import functional
from limbeck.distillation.contract import LOSSES, Batch, Context, On, Said, Shape, number, one_of, whole
from limbeck.distillation.terms.features import FeatureLoss, Terms
from limbeck.distillation.terms.labels import sum_of
from limbeck.distillation.terms.logits import errors_of_teachers, refuse_fewer_than_two, shares_of_best

__all__ = ["Adversarial", "Coral", "MeanDiscrepancy", "Pkdot", "Sinkhorn"]

DISCRIMINATOR_WIDTH = 64


@LOSSES.register("mmd")
class MeanDiscrepancy(FeatureLoss):
    """Maximum mean discrepancy between the features of network and teacher, squared.

    Parameters
    ----------
    student, teacher : str
        Names of the features.
    weight : float
        Factor in the total.
    map : str
        How the network's feature takes the shape of the teacher's.
    kernel : {"multi", "gammas"}
        Five Gaussians around the mean distance of the batch (MT-PKDOT), or seven of fixed widths (XKD).
    of : str or list of str or None
        Which teachers; all of the stage by default, each with a map of its own, averaged.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Gretton et al., A kernel two-sample test, JMLR 13, 2012"
    fewest = 2

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 1.0,
        map: str = "auto",  # noqa: A002
        kernel: Literal["multi", "gammas"] = "multi",
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on, map=map)
        self.kernel = one_of("kernel", kernel, ("multi", "gammas"))

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the discrepancy of the batch."""
        terms = functional.mmd(student, teacher, weights, kernel=self.kernel)
        return terms["mmd"], terms


@LOSSES.register("coral")
class Coral(FeatureLoss):
    """The means and the covariances of the features, brought together.

    Parameters
    ----------
    student, teacher : str
        Names of the features.
    weight : float
        Factor in the total.
    map : str
        How the network's feature takes the shape of the teacher's.
    of : str or list of str or None
        Which teachers; all of the stage by default, each with a map of its own, averaged.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Sun and Saenko, Deep CORAL, ECCV workshops 2016"
    fewest = 2

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 1.0,
        map: str = "auto",  # noqa: A002
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on, map=map)

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the sum of both differences."""
        terms = functional.coral(student, teacher, weights)
        return sum_of(terms), {"mean": terms["coral_mean"], "covariance": terms["coral_covariance"]}


@LOSSES.register("sinkhorn")
class Sinkhorn(FeatureLoss):
    """Debiased entropic optimal transport between the features of network and teacher.

    Parameters
    ----------
    student, teacher : str
        Names of the features.
    weight : float
        Factor in the total.
    map : str
        How the network's feature takes the shape of the teacher's.
    blur : float
        Distance below which windows are not told apart.
    iterations : int
        Of the potentials.
    of : str or list of str or None
        Which teachers; all of the stage by default, each with a map of its own, averaged.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Feydy et al., Interpolating between optimal transport and MMD, AISTATS 2019"
    fewest = 2

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 1.0,
        map: str = "auto",  # noqa: A002
        blur: float = 0.1,
        iterations: int = 60,
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on, map=map)
        self.blur, self.iterations = number("blur", blur, above=0.0), whole("iterations", iterations)

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the divergence of the batch."""
        terms = functional.sinkhorn_divergence(student, teacher, weights, blur=self.blur, iterations=self.iterations)
        return terms["sinkhorn"], terms


@LOSSES.register("adversarial")
class Adversarial(FeatureLoss):
    """A discriminator learns to tell the network's feature from the teacher's, and the network not to be told.

    Between them the gradient is turned round, the more the further the training is: 2 / (1 + exp(-steepness p)) - 1 at
    the share p. The discriminator has one hidden layer of 64.

    Parameters
    ----------
    student, teacher : str
        Names of the features.
    weight : float
        Factor in the total.
    map : str
        How the network's feature takes the shape of the teacher's; what the map learns is turned round as well.
    steepness : float
        How fast the gradient is let through.
    of : str or list of str or None
        Which teachers; all of the stage by default, each with a discriminator of its own, averaged.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Ganin et al., Domain-adversarial training of neural networks, JMLR 17, 2016"
    fewest = 2

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 1.0,
        map: str = "auto",  # noqa: A002
        steepness: float = 10.0,
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on, map=map)
        self.steepness = number("steepness", steepness, above=0.0)
        self.discriminators = nn.ModuleDict()

    def prepare(self, name: str, own: Shape, taught: Shape, context: Context) -> None:
        """Make the discriminator."""
        width = math.prod(self.matched[name].shape)  # type: ignore[arg-type]
        self.discriminators[name] = nn.Sequential(
            nn.Flatten(), nn.Linear(width, DISCRIMINATOR_WIDTH), nn.ReLU(), nn.Linear(DISCRIMINATOR_WIDTH, 1)
        )

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the discriminator's cross-entropy, log 2 when it cannot tell."""
        tell = self.discriminators[name]
        turned = functional.reverse_gradient(
            student, functional.adversarial_ramp(batch.progress, steepness=self.steepness)
        )
        terms = functional.adversarial(tell(turned)[:, 0], tell(teacher)[:, 0], weights)
        return terms["adversarial"], terms


@LOSSES.register("pkdot")
class Pkdot(FeatureLoss):
    """Privileged distillation by optimal transport between the windows' similarities to a few anchors.

    Every window becomes the row of its similarities to the anchors: those windows of the batch that are least like the
    others to the teacher, the same for all rows and for both networks. The clouds of rows are brought together.

    Parameters
    ----------
    student, teacher : str
        Names of the features; widths may differ.
    weight : float
        Factor in the total.
    anchors : int
        How many; all windows of the batch where it has fewer.
    per_row : bool
        Every row with its own anchors, as in the published code: a column then means another window in each row, rows
        cannot be compared, and the transport may bring a window to a wrong one (``true``).
    blur : float
        Of the transport.
    centroid : float
        Weight of the distance between the mean rows, which the paper of MT-PKDOT adds (0.2 there, of a transport that
        weighs as much) and its code leaves out.
    select : {"none", "batch"}
        With several teachers, the mean over all; or the one that errs least on the labelled windows of the batch
        (MT-PKDOT).
    of : str or list of str or None
        Which teachers; all of the stage by default.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = (
        "Aslam et al., Distilling privileged multimodal information for expression recognition using optimal "
        "transport, 2024"
    )
    relational = True
    logits = True
    fewest = 2

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 0.6,
        anchors: int = 30,
        per_row: bool = False,
        blur: float = 0.1,
        centroid: float = 0.0,
        select: Literal["none", "batch"] = "none",
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on)
        self.anchors, self.per_row = whole("anchors", anchors), bool(per_row)
        self.blur, self.centroid = number("blur", blur, above=0.0), number("centroid", centroid, least=0.0)
        self.select = one_of("select", select, ("none", "batch"))

    def join(self, context: Context) -> None:
        """Remember the kind of the target and the teachers.

        Raises
        ------
        LimbeckError
            For features that are not there, or a selection among fewer than two teachers.
        """
        super().join(context)
        self.kind = context.kind
        if self.select != "none":
            refuse_fewer_than_two("select", self.among)

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the divergence of the batch, and the distance of the mean rows where it is asked for."""
        terms = functional.similarity_transport(
            student,
            teacher,
            weights,
            anchors=self.anchors,
            per_row=self.per_row,
            blur=self.blur,
            centroid=self.centroid,
        )
        renamed = {"pkdot": terms["transport"]}
        if self.centroid:
            renamed["centroid"] = terms["transport_centroid"]
        return sum_of(renamed), renamed

    def parts(self, said: Said, batch: Batch) -> Tensor | None:
        """Return 1 for the teacher that errs least in the batch, where it is selected."""
        if self.select == "none":
            return None
        spoken = torch.stack([said.teachers[name]["logits"] for name in self.among], dim=1)
        return shares_of_best(errors_of_teachers(spoken, batch, self.kind), batch.labelled)
