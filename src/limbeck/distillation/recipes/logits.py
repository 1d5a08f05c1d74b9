"""Recipes that hand over predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from limbeck.distillation.recipes.contract import RECIPES, Fault, Recipe, Site, Stage, Stages, losses

__all__ = ["DKD", "Hinton", "soft"]


def soft(site: Site, weight: float, temperature: float, **options: Any) -> Stage:
    """Return the options of soft targets; those for a trace have no temperature and nothing that goes with it."""
    if site.kind == "trace":
        return {"weight": weight, **({"on": options["on"]} if "on" in options else {})}
    return {"weight": weight, "temperature": temperature, **options}


@RECIPES.register("hinton")
@dataclass(frozen=True)
class Hinton(Recipe):
    """The student learns what its teacher's softened probabilities say, beside the labels.

    The teacher answers for every window, so the student learns from those as well whose labels are hidden. With two
    classes all that is handed over is one margin per window.

    Parameters
    ----------
    weight : float
        Of the soft targets, which are multiplied by the temperature squared.
    hard : float
        Of the labels.
    temperature : float
        Both logits are divided by it.
    on : {"all", "labelled", "unlabelled"}
        Windows whose soft targets are learned.
    t_squared : bool
        Whether the soft targets are multiplied by the temperature squared; without it all windows weigh the same, too.
    balanced : bool
        Whether a window weighs by the class weights of the classes that the teacher sees in it.
    """

    weight: float = 0.9
    hard: float = 0.1
    temperature: float = 4.0
    on: str = "all"
    t_squared: bool = True
    balanced: bool = True

    paper: ClassVar[str] = "Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015"
    year: ClassVar[int] = 2015
    faults: ClassVar[tuple[Fault, ...]] = (
        Fault(
            "A widely used library leaves out the temperature squared where no weight of the labels is given, so the "
            "soft targets fade as the temperature grows.",
            "t_squared: false",
        ),
    )

    def stages(self, site: Site) -> Stages:
        """Return the arm."""
        weighed = {"t_squared": self.t_squared, "balanced": self.balanced and self.t_squared}
        given = soft(site, self.weight, self.temperature, on=self.on, **weighed)
        return site.taught(losses(hard=self.hard, soft=given))


@RECIPES.register("dkd")
@dataclass(frozen=True)
class DKD(Recipe):
    """Soft targets in two parts: how sure the teacher is of the true class, and how it spreads the rest.

    With two classes there is no rest, and the second part is zero. Where the label is hidden, the teacher's decision
    stands for the true class.

    Parameters
    ----------
    weight : float
        Of both parts together.
    hard : float
        Of the labels.
    alpha, beta : float
        Of the first part and of the second.
    temperature : float
        Both logits are divided by it.
    balanced : bool
        Whether a window weighs by the class weights of the classes that the teacher sees in it.
    as_released : bool
        Whether the first part is p log(p / q) without (1 - p) log((1 - p) / (1 - q)), and all windows weigh the same.
    """

    weight: float = 1.0
    hard: float = 1.0
    alpha: float = 1.0
    beta: float = 1.0
    temperature: float = 4.0
    balanced: bool = True
    as_released: bool = False

    paper: ClassVar[str] = "Zhao, Cui, Song, Qiu and Liang, Decoupled knowledge distillation, CVPR 2022"
    year: ClassVar[int] = 2022
    kinds: ClassVar[tuple[str, ...]] = ("class",)
    faults: ClassVar[tuple[Fault, ...]] = (
        Fault(
            "The code of a follow-up for emotion (CDGKD) leaves (1 - p) log((1 - p) / (1 - q)) out of the first part.",
            "as_released: true",
        ),
    )

    def stages(self, site: Site) -> Stages:
        """Return the arm."""
        given = {
            "weight": self.weight,
            "alpha": self.alpha,
            "beta": self.beta,
            "temperature": self.temperature,
            "balanced": self.balanced and not self.as_released,
            "as_released": self.as_released,
        }
        return site.taught(losses(hard=self.hard, dkd=given))
