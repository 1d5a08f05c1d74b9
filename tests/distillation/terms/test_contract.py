"""What every loss keeps, whatever it is: weights, gradients, one result under ``torch.vmap``, messages."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.distillation import LOSSES, Batch, Learner, make_losses
from limbeck.errors import LimbeckError

BOTH = ("rich", "other")
SERIES = {"student": "map", "teacher": "map"}


@dataclass(frozen=True)
class Case:
    """How a loss is tried.

    Parameters
    ----------
    loss : str
        Its name.
    options : dict
        Its options.
    kind : str
        Of the target.
    teachers : tuple of str
        Which hand over.
    term : str
        The term that depends on the windows of `on` alone; the total by default.
    heeds : bool
        Whether what the teacher says moves the loss smoothly.
    negative : bool
        Whether it may be below 0.
    steps : int
        Values of a trace per window; 0 for one that has no steps.
    """

    loss: str
    options: dict[str, Any] = field(default_factory=dict)
    kind: str = "class"
    teachers: tuple[str, ...] = ("rich",)
    term: str = ""
    heeds: bool = True
    negative: bool = False
    steps: int = 0


CASES = [
    Case("hard", heeds=False),
    Case("hard", {"ordinal": True}, heeds=False),
    *(Case("hard", {"form": form}, kind="trace", heeds=False) for form in ("mse", "l1", "ccc")),
    Case("hard", {"form": "ccc", "mixed": True}, kind="trace", heeds=False),
    *(Case("hard", {"form": form}, kind="trace", heeds=False, steps=5) for form in ("mse", "l1", "ccc")),
    Case("soft", {"temperature": 3.0}),
    Case("soft", {"student_temperature": 1.0, "t_squared": False, "reverse": True, "balanced": False}),
    Case("soft", {"of_probabilities": True}),
    Case("soft", kind="trace"),
    *(Case("soft", {"select": select}, teachers=BOTH) for select in ("window", "batch")),
    Case("soft", {"select": "batch"}, kind="trace", teachers=BOTH),
    Case("soft", kind="trace", steps=5),
    *(Case("soft", {"select": select}, kind="trace", teachers=BOTH, steps=5) for select in ("window", "batch")),
    Case("soft_ce"),
    Case("soft_ce", {"balanced": False}),
    Case("dkd"),
    Case("dkd", {"as_released": True}, negative=True),
    Case("ordinal", {"temperature": 2.0}),
    Case("pseudo", {"threshold": 0.4}, heeds=False),
    Case("pseudo", {"by_confidence": True}),
    Case("gated", teachers=BOTH, term="gated"),
    Case("gated", kind="trace", teachers=BOTH, term="gated"),
    Case("gated", kind="trace", teachers=BOTH, term="gated", steps=5),
    Case("dense", teachers=BOTH),
    Case("dense", {"reverse": True, "t_squared": False}, kind="trace", teachers=BOTH),
    Case("dense", kind="trace", teachers=BOTH, steps=5),
    *(Case(name, kind="trace", steps=steps) for name in ("l1", "ccc") for steps in (0, 5)),
    Case("hint", teachers=BOTH),
    Case("hint", {**SERIES, "norm": "l1", "map": "conv"}, teachers=BOTH),
    Case("cosine", {"map": "pool"}),
    Case("cosine", kind="trace", teachers=BOTH),
    Case("at", SERIES, teachers=BOTH),
    Case("vid", negative=True),
    Case("vid", {**SERIES, "variance": 1.0}, teachers=BOTH, negative=True),
    Case("rkd", teachers=BOTH),
    Case("rkd", {"angle": 0.0}),
    Case("sp", teachers=BOTH),
    Case("sp", {"parts": {"rich": 1.0, "other": 3.0}}, teachers=BOTH),
    Case("pkt", SERIES),
    Case("cc", teachers=BOTH),
    Case("crd", {"width": 6, "temperature": 0.3}, teachers=BOTH),
    Case("crd", {"width": 6, "apart": 0}, kind="trace"),
    Case("crd", {"width": 6, "apart": 0}, kind="trace", steps=5),
    Case("info_nce", {"width": 6}),
    Case("info_nce", {"width": 6, "supervised": True, "apart": 3}, teachers=BOTH),
    Case("mmd", teachers=BOTH),
    Case("mmd", {"kernel": "gammas"}),
    Case("coral"),
    Case("sinkhorn", {"blur": 0.5}),
    Case("adversarial", {**SERIES}, teachers=BOTH),
    Case("pkdot", {"anchors": 4, "centroid": 0.2}),
    Case("pkdot", {"anchors": 4, "per_row": True, "select": "batch"}, teachers=BOTH),
    Case("mmpkd", kind="trace", term="cosine"),
    Case("mmpkd", {"as_published": True, "threshold": 0.5}, kind="trace", term="cosine", negative=True),
    Case("mmpkd", {"threshold": 2.0}, kind="trace", term="cosine", steps=5),
]


def spelled(case: Case) -> str:
    kind = f"{case.kind} of {case.steps} steps" if case.steps else case.kind
    return " ".join([case.loss, kind, str(len(case.teachers)), *(f"{k}={v}" for k, v in case.options.items())])


every_loss = pytest.mark.parametrize("case", CASES, ids=spelled)
Tried = Callable[..., Any]


def state_of(learner: Learner) -> dict[str, Tensor]:
    return {name: v.detach().clone() for name, v in [*learner.named_parameters(), *learner.named_buffers()]}


def gradients_of(total: Tensor, learner: Learner) -> dict[str, Tensor]:
    named = dict(learner.named_parameters())
    found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    return {name: torch.zeros_like(named[name]) if g is None else g for name, g in zip(named, found, strict=True)}


def of_case(trial: Tried, case: Case, **changes: Any) -> Any:
    return trial(case.loss, case.options, case.kind, case.teachers, steps=case.steps, **changes)


@every_loss
def test_the_loss_is_a_number_that_moves_the_network_and_all_that_the_loss_learns(trial: Tried, case: Case) -> None:
    tried = of_case(trial, case)
    learner = tried.learner()
    total, terms = learner(tried.batch())
    assert total.isfinite()
    assert {value.shape for value in (total, *terms.values())} == {()}
    assert case.negative or total > 0
    gradients = gradients_of(total, learner)
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert any(gradient.any() for name, gradient in gradients.items() if name.startswith("network."))
    idle = [name for name, gradient in gradients.items() if name.startswith("losses.") and not gradient.any()]
    assert not idle


@every_loss
def test_a_teacher_beside_the_network_learns_through_the_loss_only_where_it_is_linked(trial: Tried, case: Case) -> None:
    if case.options.get("select") == "batch":
        pytest.skip("which teacher is followed depends on the batch")
    tried = of_case(trial, case, live=True)
    learner, batch = tried.learner().eval(), tried.batch()
    for part, moved in (("losses", False), ("linked", case.heeds)):
        gradients = gradients_of(learner(batch, part)[0], learner)
        own = [gradient for name, gradient in gradients.items() if name.startswith("partners.rich.")]
        assert any(bool(gradient.any()) for gradient in own) == moved, part


@every_loss
def test_many_networks_at_once_get_what_each_gets_alone(trial: Tried, evaluate: Tried, case: Case) -> None:
    tried = of_case(trial, case)
    learners = [tried.learner(seed) for seed in range(3)]
    learned = {name for name, _ in learners[0].named_parameters()}
    batches = [[tried.batch(10 * step + seed) for seed in range(3)] for step in range(2)]

    def one(
        parameters: dict[str, Tensor], buffers: dict[str, Tensor], batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return evaluate(learners[0], {**parameters, **buffers}, batch)

    states = [state_of(learner) for learner in learners]
    together = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    for step in batches:
        whole = torch.utils._pytree.tree_map(lambda *tensors: torch.stack(tensors), *step)
        parameters = {name: together[name] for name in learned}
        buffers = {name: value for name, value in together.items() if name not in learned}
        gradient, (value, _) = torch.vmap(torch.func.grad_and_value(one, has_aux=True))(parameters, buffers, whole)
        for member, (state, batch) in enumerate(zip(states, step, strict=True)):
            own = {name: state[name].requires_grad_() for name in learned}
            total, _ = one(own, {name: v for name, v in state.items() if name not in learned}, batch)
            found = torch.autograd.grad(total, list(own.values()), allow_unused=True)
            torch.testing.assert_close(value[member], total.detach())
            for name, alone in zip(own, found, strict=True):
                expected = torch.zeros_like(own[name]) if alone is None else alone
                torch.testing.assert_close(gradient[name][member], expected, rtol=1e-6, atol=1e-9)
            for name, kept in buffers.items():
                torch.testing.assert_close(kept[member], state[name], msg=name)
            for name in learned:
                state[name].requires_grad_(False)


@every_loss
def test_the_weight_is_a_factor_of_the_total(trial: Tried, case: Case) -> None:
    heavy = replace(case, options={**case.options, "weight": 3.0})
    light = replace(case, options={**case.options, "weight": 1.5})
    totals = [of_case(trial, each).learner()(of_case(trial, each).batch())[0] for each in (heavy, light)]
    torch.testing.assert_close(totals[0], 2 * totals[1])


@every_loss
def test_a_batch_that_nobody_trusts_and_that_has_no_label_teaches_nothing(trial: Tried, case: Case) -> None:
    tried = of_case(trial, case)
    learner = tried.learner()
    nothing = torch.zeros(8, dtype=torch.float64)
    total, _ = learner(tried.batch(trust=nothing, labelled=nothing))
    assert total == 0 or case.loss == "mmpkd"
    assert not any(gradient.any() for gradient in gradients_of(total, learner).values())


def some_changed(batch: Batch, rows: slice) -> Batch:
    """Return the batch with other inputs and other knowledge of some windows."""

    def other(values: Tensor) -> Tensor:
        changed = values.clone()
        changed[rows] = values[rows].flip(0) + 0.7
        return changed

    sights = {
        name: sight._replace(inputs={modality: other(values) for modality, values in sight.inputs.items()})
        for name, sight in batch.sights.items()
    }
    teachers = {name: {key: other(v) for key, v in values.items()} for name, values in batch.teachers.items()}
    return batch._replace(sights=sights, teachers=teachers, logits=other(batch.logits))


@every_loss
@pytest.mark.parametrize(("on", "rows"), [("unlabelled", slice(0, 4)), ("labelled", slice(4, 8))])
def test_the_other_windows_do_not_matter(trial: Tried, case: Case, on: str, rows: slice) -> None:
    if "on" not in LOSSES.options(case.loss):
        pytest.skip("learns from labels alone")
    if on == "unlabelled" and "select" in case.options:
        pytest.skip("the labelled windows say which teacher is followed")
    tried = of_case(trial, replace(case, options={**case.options, "on": on}))

    def value(batch: Batch) -> Tensor:
        total, terms = tried.learner()(batch)
        return terms.get(case.term, terms.get(f"{case.loss}.{case.term}", total)) if case.term else total

    batch = tried.batch()
    before = value(batch)
    torch.testing.assert_close(value(some_changed(batch, rows)), before)
    assert not torch.isclose(value(some_changed(batch, slice(4, 8) if rows.start == 0 else slice(0, 4))), before)


@every_loss
def test_losses_are_copied_and_sent_to_workers_whole(trial: Tried, case: Case) -> None:
    tried = of_case(trial, case)
    learner, batch = tried.learner().eval(), tried.batch()
    total, _ = learner(batch)
    for other in (copy.deepcopy(learner), pickle.loads(pickle.dumps(learner))):
        torch.testing.assert_close(other(batch)[0], total)


@every_loss
def test_an_option_that_does_not_exist_is_named_with_what_was_meant(case: Case) -> None:
    with pytest.raises(LimbeckError, match=r"mine: there is no option 'wieght'\. Did you mean 'weight'\?"):
        make_losses({"mine": {"loss": case.loss, "wieght": 1.0}})


@every_loss
def test_a_weight_or_a_choice_that_makes_no_sense_is_refused_with_its_name(case: Case) -> None:
    with pytest.raises(LimbeckError, match=r"mine\.weight: expected a number above 0, found -1"):
        make_losses({"mine": {"loss": case.loss, "weight": -1}})
    if "on" in LOSSES.options(case.loss):
        with pytest.raises(LimbeckError, match=r"mine\.on: expected all, labelled or unlabelled, found 'some'"):
            make_losses({"mine": {"loss": case.loss, "on": "some"}})


@every_loss
def test_help_names_every_option_and_what_it_says_of_itself_is_true(case: Case) -> None:
    loss: Any = LOSSES[case.loss]
    text = LOSSES.help(case.loss)
    explained = {
        name.strip() for line in text.splitlines() if " : " in line for name in line.split(" : ")[0].split(",")
    }
    assert explained >= set(LOSSES.options(case.loss))
    assert case.kind in loss.kinds
    made = make_losses({"mine": {"loss": case.loss, **case.options}})["mine"]
    assert bool(made.teacher_features) == ("teacher" in LOSSES.options(case.loss))
    assert loss.labels == (case.loss == "hard")
    assert loss.paper or case.loss in ("hard", "cosine")


def test_every_loss_of_these_rooms_is_held_to_the_contract() -> None:
    rooms = {"labels", "logits", "features", "relations", "contrast", "alignment", "sequences"}
    losses = {name for name in LOSSES if LOSSES[name].__module__.rsplit(".", 1)[-1] in rooms}
    assert losses == {case.loss for case in CASES}
