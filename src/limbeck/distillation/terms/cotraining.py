"""Losses between networks that learn together, and between the parts of one network.

The network's own error against the labels is always the loss ``hard`` of the stage; the losses here add what the others
need to learn by the same gradient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from limbeck.distillation import functional
from limbeck.distillation.contract import LOSSES, Batch, Context, Loss, On, Said, number, whole
from limbeck.distillation.functional.maps import build_map
from limbeck.distillation.terms.contrast import near
from limbeck.distillation.terms.labels import error_of
from limbeck.distillation.terms.logits import class_balanced, soft_distance
from limbeck.errors import LimbeckError, did_you_mean
from limbeck.models.contract import Outputs
from limbeck.models.layers import Dropout

__all__ = [
    "Adapters",
    "Consistency",
    "JointTeacher",
    "Mutual",
    "One",
    "PartnerHard",
    "SelfDistil",
    "Stochastic",
    "feature_of",
    "partner_of",
]

ANSWER = "logits_"
"""How features begin in which a part of a network answers for itself."""


@LOSSES.register("mutual")
class Mutual(Loss):
    """Deep mutual learning: networks that learn the same task side by side, each also from what the others say.

    Every network is pulled to each of the others, which are held fixed for it; the others learn from the labels as
    well. All take their steps at once. With ``hard: hard`` as the factor of the loss ``hard`` of the stage the networks
    can be exchanged without changing the sum.

    Parameters
    ----------
    weight : float
        Factor in the total.
    partner : str or list of str
        The partners that learn with the network.
    temperature : float
        All logits are divided by it; the divergence is multiplied by its square.
    hard : float
        Factor of the partners' error against the labels.
    average : bool
        Divide by the number of the others. The published code adds them up (``false``), which makes the pull grow with
        the number of networks.
    balanced : bool
        Weigh a window by the class weights of the classes that the other one sees in it, as ``soft`` does; the
        literature weighs all windows alike (``false``).
    on : {"all", "labelled", "unlabelled"}
        Windows on which they learn from each other.
    """

    paper: ClassVar[str] = "Zhang, Xiang, Hospedales and Lu, Deep mutual learning, CVPR 2018"
    trains_prediction = True

    def __init__(
        self,
        weight: float = 1.0,
        partner: str | Sequence[str] = "peer",
        temperature: float = 1.0,
        hard: float = 1.0,
        average: bool = True,
        balanced: bool = True,
        on: On = "all",
    ) -> None:
        super().__init__(weight, on)
        self.among = _names("partner", partner)
        self.temperature = number("temperature", temperature, above=0.0)
        self.hard = number("hard", hard, least=0.0)
        self.average, self.balanced = bool(average), bool(balanced)

    @property
    def partner_sights(self) -> Mapping[str, tuple[str, ...]]:
        """The partners see the windows as they are."""
        return dict.fromkeys(self.among, ("plain",))

    def join(self, context: Context) -> None:
        """Remember what the target is.

        Raises
        ------
        LimbeckError
            For a partner that is not there or does not learn.
        """
        self.context = context.kept()
        for name in self.among:
            partner_of(context, name, learns="gradient")

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum of all networks' distances from the others and of the partners' errors."""
        weights = self.weights(batch)
        beside = [said.partners[name]["plain"].prediction for name in self.among]
        everyone = [said.plain.prediction, *beside]
        pulls = [self._pull(own, [other for other in everyone if other is not own], weights, batch) for own in everyone]
        terms = {
            "mutual": pulls[0],
            "partners": torch.stack(pulls[1:]).sum(),
            "hard": self.hard * _errors(self.context, dict(zip(self.among, beside, strict=True)), batch).sum(),
        }
        return terms["mutual"] + terms["partners"] + terms["hard"], terms

    def _pull(self, own: Tensor, others: Sequence[Tensor], weights: Tensor, batch: Batch) -> Tensor:
        """Return the distance of one network from the others."""
        if self.context.kind == "class":
            of_each = [weights] * len(others)
            if self.balanced:
                settled = self.context.balanced_trust
                of_each = [class_balanced(other, batch, weights, settled=settled) for other in others]
            return functional.mutual(own, others, of_each, temperature=self.temperature, average=self.average)["mutual"]
        gaps = [functional.soft_trace(own, other.detach(), weights)["soft"] for other in others]
        total = torch.stack(gaps).sum()
        return total / len(others) if self.average else total


@LOSSES.register("one")
class One(Loss):
    """ONE: branches are taught by their own ensemble, which a gate weighs window by window.

    The branches are the network and its partners, here whole networks, which may read different sensors. The ensemble
    learns from the labels, and so do the partners; each branch is pulled to the ensemble, which is held fixed for it.

    Parameters
    ----------
    weight : float
        Factor in the total.
    partner : str or list of str
        The other branches.
    temperature : float
        Of the divergence from the ensemble, which is multiplied by its square.
    hard : float
        Factor of the errors of partners and ensemble against the labels.
    hidden : int
        Width of the gate's hidden layer; it reads what all branches say.
    balanced : bool
        Weigh a window by the class weights of the classes that the ensemble sees in it, as ``soft`` does; the
        literature weighs all windows alike (``false``).
    on : {"all", "labelled", "unlabelled"}
        Windows on which the branches learn from the ensemble.
    """

    paper: ClassVar[str] = "Lan, Zhu and Gong, Knowledge distillation by on-the-fly native ensemble, NeurIPS 2018"
    trains_prediction = True

    def __init__(
        self,
        weight: float = 1.0,
        partner: str | Sequence[str] = "peer",
        temperature: float = 3.0,
        hard: float = 1.0,
        hidden: int = 64,
        balanced: bool = True,
        on: On = "all",
    ) -> None:
        super().__init__(weight, on)
        self.among = _names("partner", partner)
        self.temperature = number("temperature", temperature, above=0.0)
        self.hard, self.hidden = number("hard", hard, least=0.0), whole("hidden", hidden)
        self.balanced = bool(balanced)

    @property
    def partner_sights(self) -> Mapping[str, tuple[str, ...]]:
        """The partners see the windows as they are."""
        return dict.fromkeys(self.among, ("plain",))

    def join(self, context: Context) -> None:
        """Make the gate.

        Raises
        ------
        LimbeckError
            For a partner that is not there or does not learn.
        """
        self.context = context.kept()
        for name in self.among:
            partner_of(context, name, learns="gradient")
        branches = 1 + len(self.among)
        self.gate = nn.Sequential(
            nn.Linear(branches * context.n_outputs, self.hidden), nn.ReLU(), nn.Linear(self.hidden, branches)
        )

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the distances from the ensemble with the errors of the ensemble and of the partners."""
        beside = [said.partners[name]["plain"].prediction for name in self.among]
        branches = torch.stack([said.plain.prediction, *beside], dim=1)
        mixture = functional.gated_mixture(branches, self.gate(branches.detach().flatten(1)))
        weights, taught = self.weights(batch), mixture.detach()
        options: dict[str, Any] = {"temperature": self.temperature, "balanced": self.balanced}
        pulls = [soft_distance(self.context, own, taught, batch, weights, **options) for own in branches.unbind(dim=1)]
        terms = {
            "one": torch.stack(pulls).sum(),
            "ensemble": self.hard * _error(self.context, mixture, batch),
            "hard": self.hard * _errors(self.context, dict(zip(self.among, beside, strict=True)), batch).sum(),
        }
        return terms["one"] + terms["ensemble"] + terms["hard"], terms


@LOSSES.register("consistency")
class Consistency(Loss):
    """Mean teacher: the network agrees with the slow average of itself about windows that each sees changed.

    The squared difference of probabilities, or of trace values. It needs no labels. The average is a partner that
    ``learns: average``; ``predict_with`` deploys it, as published.

    Parameters
    ----------
    weight : float
        Factor in the total, once the ramp is over; 1 to 10 for a few classes.
    partner : str
        The average.
    sight : {"second", "plain"}
        Whether the network sees windows changed for this loss, or those that its other losses see, which spares a pass
        where the stage augments them anyway.
    ramp : float
        Share of the training over which the loss grows by exp(-5 (1 - t)²) to its whole; 0 for none.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017"
    trains_prediction = True

    def __init__(
        self, weight: float = 1.0, partner: str = "average", sight: str = "second", ramp: float = 0.2, on: On = "all"
    ) -> None:
        super().__init__(weight, on)
        if sight not in ("second", "plain"):
            raise LimbeckError(f"sight: expected second or plain, found {sight!r}.")
        (self.partner,) = _names("partner", partner, single=True)
        self.sights, self.ramp = (sight,), number("ramp", ramp, least=0.0, most=1.0)

    @property
    def partner_sights(self) -> Mapping[str, tuple[str, ...]]:
        """The average sees windows that are changed for it alone."""
        return {self.partner: ("second",)}

    def join(self, context: Context) -> None:
        """Remember what the target is.

        Raises
        ------
        LimbeckError
            When there is no such average.
        """
        self.context = context.kept()
        partner_of(context, self.partner, learns="average")

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the ramped difference, and the difference as it is."""
        own = said.network[self.sights[0]].prediction
        slow = said.partners[self.partner]["second"].prediction.detach()
        weights = self.weights(batch)
        if self.context.kind == "class":
            found = functional.consistency(own, slow, weights)["consistency"]
        else:
            found = functional.soft_trace(own, slow, weights)["soft"]
        return self._grown(batch.progress) * found, {"consistency": found}

    def _grown(self, progress: Tensor) -> Tensor:
        """Return which share of the loss counts by now."""
        if not self.ramp:
            return torch.ones_like(progress)
        left = 1.0 - (progress / self.ramp).clamp(max=1.0)
        return torch.exp(-5.0 * left.square())


@LOSSES.register("stochastic")
class Stochastic(Loss):
    """Student-guided distillation: a teacher with dropout left on is many teachers, of whom the student chooses.

    Each of `passes` answers of the teacher to the same windows is a feature t_i. The student's own feature s weighs
    them by softmax(⟨s, t_i⟩ / temperature); those at or above the `percentile` are kept, and the student is pulled to
    their weighted mean.

    Parameters
    ----------
    weight : float
        Factor in the total.
    partner : str
        The teacher: a partner with ``learns: frozen`` and ``dropout: true``, so that its running statistics stay as
        they are while units drop out.
    student, teacher : str
        Names of the features.
    map : str
        How the network's feature takes the shape of the teacher's.
    passes : int
        Answers of the teacher.
    temperature : float
        Inner products are divided by it.
    percentile : float
        Of the weights of a window, below which answers are left out: at 90 a tenth of them is kept, rounded up.
    cosine : bool
        Pull the student's direction to that of all answers alike instead: 1 minus the mean cosine.
    detach : bool
        Hold the weights fixed. The released code does not (``false``): the student can then also lower the loss by
        preferring answers that are near.
    as_released : bool
        The released code switches dropout on in modules that this kind of teacher does not have: all answers are the
        same and the method is a plain distance between features. The partner must then have ``dropout: false``.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Aslam et al., Student-guided distillation with stochastic teachers, ECML PKDD 2025"

    def __init__(
        self,
        weight: float = 1.0,
        partner: str = "teacher",
        student: str = "embedding",
        teacher: str = "embedding",
        map: str = "auto",  # noqa: A002
        passes: int = 30,
        temperature: float = 5.0,
        percentile: float = 90.0,
        cosine: bool = False,
        detach: bool = True,
        as_released: bool = False,
        on: On = "all",
    ) -> None:
        super().__init__(weight, on)
        (self.partner,) = _names("partner", partner, single=True)
        self.student, self.teacher, self.map = student, teacher, map
        self.passes = whole("passes", passes)
        self.temperature = number("temperature", temperature, above=0.0)
        share = 1.0 - number("percentile", percentile, least=0.0, most=100.0) / 100.0
        # Rounded first: a tenth of 30 is a little more than 3 in floating point.
        self.kept = max(1, math.ceil(round(share * self.passes, 9)))
        self.cosine, self.detach, self.as_released = bool(cosine), bool(detach), bool(as_released)

    @property
    def student_features(self) -> tuple[str, ...]:
        """The network's feature."""
        return (self.student,)

    @property
    def partner_sights(self) -> Mapping[str, tuple[str, ...]]:
        """One sight per answer; all show the same windows."""
        if self.as_released:
            return {self.partner: ("plain",)}
        return {self.partner: tuple(f"pass_{i}" for i in range(self.passes))}

    def join(self, context: Context) -> None:
        """Make the map.

        Raises
        ------
        LimbeckError
            When a feature or the partner is not there, or its dropout is not as the method needs it.
        """
        features = partner_of(context, self.partner)
        own = feature_of(context.features, self.student, "student", "the network")
        taught = feature_of(features, self.teacher, "teacher", f"the partner '{self.partner}'")
        drops = any(isinstance(m, Dropout) and m.p > 0 for m in context.networks[self.partner].modules())
        noisy = drops and (self.partner in context.noisy or context.learns[self.partner] == "gradient")
        if noisy and self.as_released:
            raise LimbeckError(
                f"as_released: the released passes are without dropout; write partners.{self.partner}.dropout: false."
            )
        if not noisy and not self.as_released:
            raise LimbeckError(
                f"partner: all answers of '{self.partner}' would be the same; give it dropout: true under partners and "
                "a model with a dropout above 0, or take the loss hint."
            )
        self.matched = build_map(self.map, own, taught)

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the distance from the mixture of the answers that the student chose."""
        weights = self.weights(batch)
        own = self.matched.map_student(said.plain.features[self.student]).flatten(1)
        answers = self.answers(said)
        if self.cosine:
            each = [functional.cosine(own, answer, weights)["cosine"] for answer in answers.unbind(dim=1)]
            value = torch.stack(each).mean()
        else:
            shares = self.shares(own, answers)
            value = functional.hint(own, (shares.unsqueeze(-1) * answers).sum(dim=1), weights)["hint"]
        return value, {"stochastic": value}

    def answers(self, said: Said) -> Tensor:
        """Return the teacher's features of all passes, as the map leaves them: (batch, passes, width)."""
        heard = said.partners[self.partner]
        found = [heard[sight].features[self.teacher].detach() for sight in self.partner_sights[self.partner]]
        return torch.stack([self.matched.map_teacher(feature).flatten(1) for feature in found], dim=1)

    def shares(self, own: Tensor, answers: Tensor) -> Tensor:
        """Return the weight of each answer for each window, (batch, passes): they sum to 1, and most are 0."""
        scores = (answers @ own.unsqueeze(-1)).squeeze(-1) / self.temperature
        if self.detach:
            scores = scores.detach()
        likely = torch.softmax(scores, dim=-1)
        best, places = likely.topk(min(self.kept, answers.shape[1]), dim=-1)
        kept = best / best.sum(dim=-1, keepdim=True)
        return torch.zeros_like(likely).scatter(-1, places, kept)


@LOSSES.register("self_distil")
class SelfDistil(Loss):
    """SDT's self-distillation: parts of a network that answer for themselves learn from labels and from the whole.

    For a network that offers such answers as features ``logits_…`` (`sdt`, `hkd_mer` with ``answers: true``).

    Parameters
    ----------
    weight : float
        Factor in the total.
    hard, soft : float
        Factors of the answers' errors against the labels and of their distances from the network's prediction.
    temperature : float
        Both are divided by it; 1 and 8 are published.
    t_squared : bool
        Multiply the divergence by the temperature squared. The released code does not (``false``), so that at T = 8
        the term all but vanishes.
    detach_teacher : bool
        Hold the prediction fixed. The released code lets the gradient through (``false``): the whole is then pulled
        towards its parts as well.
    balanced : bool
        Weigh a window by the class weights of the classes that the whole sees in it, as ``soft`` does; the literature
        weighs all windows alike (``false``).
    on : {"all", "labelled", "unlabelled"}
        Windows on which the parts learn from the whole.
    """

    paper: ClassVar[str] = (
        "Ma et al., A transformer-based model with self-distillation for multimodal emotion recognition in "
        "conversations, IEEE Transactions on Multimedia 26, 2024"
    )

    def __init__(
        self,
        weight: float = 1.0,
        hard: float = 1.0,
        soft: float = 1.0,
        temperature: float = 1.0,
        t_squared: bool = True,
        detach_teacher: bool = True,
        balanced: bool = True,
        on: On = "all",
    ) -> None:
        super().__init__(weight, on)
        self.hard, self.soft = number("hard", hard, least=0.0), number("soft", soft, least=0.0)
        self.temperature = number("temperature", temperature, above=0.0)
        self.t_squared, self.detach_teacher, self.balanced = bool(t_squared), bool(detach_teacher), bool(balanced)

    def join(self, context: Context) -> None:
        """Find the answers.

        Raises
        ------
        LimbeckError
            When the network offers none.
        """
        self.context, self.answers = context.kept(), _answers(context)

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sums over the answers of their errors and of their distances from the prediction."""
        taught = said.plain.prediction.detach() if self.detach_teacher else said.plain.prediction
        weights = self.weights(batch)
        answers = [said.plain.features[name] for name in self.answers]
        options: dict[str, Any] = {"temperature": self.temperature, "scale": self.t_squared, "balanced": self.balanced}
        pulls = [soft_distance(self.context, own, taught, batch, weights, **options) for own in answers]
        terms = {
            "hard": self.hard * torch.stack([_error(self.context, own, batch) for own in answers]).sum(),
            "soft": self.soft * torch.stack(pulls).sum(),
        }
        return terms["hard"] + terms["soft"], terms


@LOSSES.register("adapters")
class Adapters(Loss):
    """MT-PKDOT's first phase: adapted embeddings of each modality learn to point where the joint one points.

    For a network with features ``joint``, ``adapted_<modality>`` and ``logits_<modality>`` (`pkdot_teacher` with
    ``adapters: true``). Published with 0.5 of the loss ``hard`` beside it.

    Parameters
    ----------
    weight : float
        Factor in the total.
    similarity : float
        Factor of the sum over modalities of 1 minus the cosine.
    hard : float
        Factor of the sum of the modalities' errors against the labels.
    detach : bool
        Hold the joint feature fixed. Published is ``false``: it moves towards its modalities as well.
    on : {"all", "labelled", "unlabelled"}
        Windows on which features are compared.
    """

    paper: ClassVar[str] = (
        "Aslam et al., Multi teacher privileged knowledge distillation for multimodal expression recognition, 2024"
    )

    def __init__(
        self,
        weight: float = 1.0,
        similarity: float = 0.5,
        hard: float = 0.25,
        detach: bool = False,
        on: On = "all",
    ) -> None:
        super().__init__(weight, on)
        self.similarity, self.hard = number("similarity", similarity, least=0.0), number("hard", hard, least=0.0)
        self.detach = bool(detach)

    @property
    def student_features(self) -> tuple[str, ...]:
        """The joint feature."""
        return ("joint",)

    def join(self, context: Context) -> None:
        """Find the adapted features and answers.

        Raises
        ------
        LimbeckError
            When the network has no adapters.
        """
        self.context, self.answers = context.kept(), _answers(context)
        feature_of(context.features, "joint", "adapters", "the network")
        self.adapted = tuple(name for name in context.features if name.startswith("adapted_"))
        if not self.adapted:
            raise LimbeckError("model: it has no adapted features; take pkdot_teacher with adapters: true.")

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the similarities and the errors."""
        features, weights = said.plain.features, self.weights(batch)
        joint = features["joint"].detach() if self.detach else features["joint"]
        apart = [functional.cosine(features[name], joint, weights)["cosine"] for name in self.adapted]
        wrong = [_error(self.context, features[name], batch) for name in self.answers]
        terms = {
            "similarity": self.similarity * torch.stack(apart).sum(),
            "hard": self.hard * torch.stack(wrong).sum(),
        }
        return terms["similarity"] + terms["hard"], terms


@LOSSES.register("joint_teacher")
class JointTeacher(Loss):
    """HKD-MER: the network of a weaker modality and that of the dominant one learn together, the one from the other.

    The dominant network, a partner, learns from the labels; the network's feature is drawn to the dominant one's of the
    same window, its prediction to the dominant one's; and the predictions of both, weighed by attention on their
    features, learn from the labels as one.

    Of the paper only the parts are public; equations and sizes are a proposal in its spirit.

    Parameters
    ----------
    weight : float
        Factor in the total.
    partner : str
        The network of the dominant modality, which learns by gradient; choose it by validation subjects.
    student, teacher : str
        Names of the features of the network and of the partner.
    map : str
        How the network's feature takes the shape of the partner's.
    hard : float
        Factor of the errors of partner and fusion against the labels.
    feature : float
        Factor of the contrast of features.
    label : float
        Factor of the distance between predictions.
    contrast : float
        Temperature of the contrast.
    temperature : float
        Of the predictions.
    supervised : bool
        Whether labelled windows of one class are counterparts of each other; otherwise only the same window is.
    apart : int
        Windows whose places in the data set differ by no more than this are no negatives of each other: neighbours of
        a recording, which overlap or resemble each other. 0 leaves out a window's own repetition only.
    balanced : bool
        Weigh a window by the class weights of the classes that the partner sees in it, as ``soft`` does; the literature
        weighs all windows alike (``false``).
    on : {"all", "labelled", "unlabelled"}
        Windows on which the network learns from the partner.
    """

    paper: ClassVar[str] = (
        "Sun et al., Multi-modal emotion recognition via hierarchical knowledge distillation, IEEE Transactions on "
        "Multimedia 26, 2024"
    )
    trains_prediction = True
    fewest = 2

    def __init__(
        self,
        weight: float = 1.0,
        partner: str = "teacher",
        student: str = "embedding",
        teacher: str = "embedding",
        map: str = "linear",  # noqa: A002
        hard: float = 1.0,
        feature: float = 0.5,
        label: float = 0.5,
        contrast: float = 0.1,
        temperature: float = 2.0,
        supervised: bool = False,
        apart: int = 1,
        balanced: bool = True,
        on: On = "all",
    ) -> None:
        super().__init__(weight, on)
        (self.partner,) = _names("partner", partner, single=True)
        self.student, self.teacher, self.map = student, teacher, map
        self.hard, self.feature = number("hard", hard, least=0.0), number("feature", feature, least=0.0)
        self.label = number("label", label, least=0.0)
        self.contrast = number("contrast", contrast, above=0.0)
        self.temperature = number("temperature", temperature, above=0.0)
        self.supervised, self.apart, self.balanced = bool(supervised), whole("apart", apart, 0), bool(balanced)

    @property
    def student_features(self) -> tuple[str, ...]:
        """The network's feature."""
        return (self.student,)

    @property
    def partner_sights(self) -> Mapping[str, tuple[str, ...]]:
        """The partner sees the windows as they are."""
        return {self.partner: ("plain",)}

    def join(self, context: Context) -> None:
        """Make the map and the attention.

        Raises
        ------
        LimbeckError
            When a feature or the partner is not there, or the partner does not learn.
        """
        self.context = context.kept()
        features = partner_of(context, self.partner, learns="gradient")
        own = feature_of(context.features, self.student, "student", "the network")
        taught = feature_of(features, self.teacher, "teacher", f"the partner '{self.partner}'")
        self.matched = build_map(self.map, own, taught)
        width = math.prod(self.matched.shape)
        self.attend, self.score = nn.Linear(width, width), nn.Linear(width, 1, bias=False)

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum of the four parts."""
        weights, beside = self.weights(batch), said.partners[self.partner]["plain"]
        own, taught = (
            feature.flatten(1)
            for feature in self.matched(said.plain.features[self.student], beside.features[self.teacher])
        )
        drawn = functional.info_nce(
            own,
            taught.detach(),
            weights,
            temperature=self.contrast,
            classes=batch.target if self.supervised and self.context.kind == "class" else None,
            labelled=batch.labelled,
            excluded=near(batch.index, batch.index, self.apart),
        )["info_nce"]
        pulled = soft_distance(
            self.context,
            said.plain.prediction,
            beside.prediction.detach(),
            batch,
            weights,
            temperature=self.temperature,
            balanced=self.balanced,
        )
        fused = self.fuse((own, taught), (said.plain, beside))
        terms = {
            "hard": self.hard * _errors(self.context, {self.partner: beside.prediction}, batch).sum(),
            "fused": self.hard * _error(self.context, fused, batch),
            "feature": self.feature * drawn,
            "label": self.label * pulled,
        }
        return torch.stack(list(terms.values())).sum(), terms

    def fuse(self, features: Sequence[Tensor], outputs: Sequence[Outputs]) -> Tensor:
        """Return the prediction of both: logarithms of mixed probabilities, or mixed values, (batch, n_outputs)."""
        scores = self.score(torch.tanh(self.attend(torch.stack(tuple(features), dim=1))))
        said = torch.stack([each.prediction for each in outputs], dim=1)
        if self.context.kind == "trace":
            return (torch.softmax(scores, dim=1) * said).sum(dim=1)
        return torch.logsumexp(torch.log_softmax(scores, dim=1) + torch.log_softmax(said, dim=-1), dim=1)


@LOSSES.register("partner_hard")
class PartnerHard(Loss):
    """The error of partners against the labels, so that they learn the task beside the network.

    Parameters
    ----------
    weight : float
        Factor in the total.
    partner : str or list of str
        The partners that learn.
    """

    labels = True

    def __init__(self, weight: float = 1.0, partner: str | Sequence[str] = "teacher") -> None:
        super().__init__(weight, "labelled")
        self.among = _names("partner", partner)

    @property
    def partner_sights(self) -> Mapping[str, tuple[str, ...]]:
        """The partners see the windows as they are."""
        return dict.fromkeys(self.among, ("plain",))

    def join(self, context: Context) -> None:
        """Remember what the target is.

        Raises
        ------
        LimbeckError
            For a partner that is not there or does not learn.
        """
        self.context = context.kept()
        for name in self.among:
            partner_of(context, name, learns="gradient")

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum of the partners' errors."""
        said_by = {name: said.partners[name]["plain"].prediction for name in self.among}
        errors = _errors(self.context, said_by, batch)
        return errors.sum(), dict(zip(self.among, errors.unbind(), strict=True))


def partner_of(context: Context, name: str, *, learns: str | None = None) -> Mapping[str, tuple[int, ...]]:
    """Return the features of a partner.

    Raises
    ------
    LimbeckError
        When there is no such partner, or it learns otherwise.
    """
    if name not in context.partners:
        raise LimbeckError(
            f"partner: the stage has no partner '{name}'.{did_you_mean(name, context.partners)} Add it under partners."
        )
    found = context.learns.get(name, "gradient")
    if learns is not None and found != learns:
        raise LimbeckError(f"partner: '{name}' has learns: {found}; expected learns: {learns}.")
    return context.partners[name]


def feature_of(features: Mapping[str, tuple[int, ...]], name: str, option: str, whose: str) -> tuple[int, ...]:
    """Return the shape of a feature for one window.

    Raises
    ------
    LimbeckError
        When there is no such feature.
    """
    if name not in features:
        raise LimbeckError(f"{option}: {whose} has no feature '{name}'.{did_you_mean(name, features)}")
    return features[name]


def _names(option: str, value: str | Sequence[str], *, single: bool = False) -> tuple[str, ...]:
    """Return one or several names, each once."""
    names = (value,) if isinstance(value, str) else value
    good = isinstance(names, list | tuple) and names and all(isinstance(name, str) and name for name in names)
    if not good or len(set(names)) < len(names) or (single and len(names) > 1):
        expected = "a name" if single else "a name or a list of different names"
        raise LimbeckError(f"{option}: expected {expected}, found {value!r}.")
    return tuple(names)


def _answers(context: Context) -> tuple[str, ...]:
    """Return the features in which parts of the network answer for themselves."""
    found = tuple(name for name in context.features if name.startswith(ANSWER))
    if not found:
        raise LimbeckError(
            f"model: it has no features {ANSWER}…, in which its parts answer for themselves; take sdt or hkd_mer with "
            "answers: true, or pkdot_teacher with adapters: true."
        )
    return found


def _error(context: Context, prediction: Tensor, batch: Batch) -> Tensor:
    """Return the error against the labels that may be seen."""
    return error_of(context, prediction, batch.target, batch.class_weights, batch.labelled)


def _errors(context: Context, predictions: Mapping[str, Tensor], batch: Batch) -> Tensor:
    """Return the error (n_partners,) of each partner against the labels of the windows that it is shown."""
    found = [
        error_of(context, prediction, batch.target_of(name), batch.class_weights, batch.labelled)
        for name, prediction in predictions.items()
    ]
    return torch.stack(found)
