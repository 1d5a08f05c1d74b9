"""Losses on what teachers predict: who is followed, how much, and what published code did instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, softmax

from limbeck.distillation import functional
from limbeck.errors import LimbeckError

Tried = Callable[..., Any]
BOTH = ("rich", "other")


def value(tried: Any, **changes: Any) -> Tensor:
    total: Tensor = tried.learner()(tried.batch(**changes))[0]
    return total


def prediction(tried: Any) -> Tensor:
    said: Tensor = tried.learner().network(tried.batch().sights["plain"].inputs).prediction
    return said.detach()


def divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """Return KL(teacher || student) of each window."""
    log_teacher, log_student = log_softmax(teacher, dim=1), log_softmax(student, dim=1)
    return (log_teacher.exp() * (log_teacher - log_student)).sum(dim=1)


def test_the_published_faults_of_soft_targets_are_a_flag_away(trial: Tried) -> None:
    def of(**options: Any) -> Tensor:
        return value(trial("soft", {"temperature": 4.0, "balanced": False, **options}))

    tried = trial("soft")
    student, teacher = prediction(tried), tried.batch().logits
    torch.testing.assert_close(of(), 16 * divergence(teacher / 4, student / 4).mean())
    torch.testing.assert_close(of(t_squared=False), divergence(teacher / 4, student / 4).mean())
    torch.testing.assert_close(of(reverse=True), 16 * divergence(student / 4, teacher / 4).mean())
    torch.testing.assert_close(of(student_temperature=1.0), divergence(teacher / 4, student).mean())
    as_logits = [softmax(said, dim=1) / 4 for said in (teacher, student)]
    torch.testing.assert_close(of(of_probabilities=True), 16 * divergence(*as_logits).mean())


def test_balanced_soft_targets_weigh_windows_by_the_classes_that_the_teacher_sees(trial: Tried) -> None:
    tried = trial("soft", {"temperature": 1.0})
    teacher, weights = tried.batch().logits, tried.batch().class_weights
    expected = (softmax(teacher, dim=1) * weights).sum(dim=1)
    apart = divergence(teacher, prediction(tried))
    torch.testing.assert_close(value(tried), (apart * expected).sum() / expected.sum())


def expected_weights(teacher: Tensor, tried: Any) -> Tensor:
    found: Tensor = (softmax(teacher, dim=1) * tried.batch().class_weights).sum(dim=1)
    return found


@pytest.mark.parametrize("loss", ["soft_ce", "dkd", "ordinal", "dense", "gated"])
def test_every_loss_of_soft_targets_is_balanced_as_soft_is(trial: Tried, loss: str) -> None:
    options: dict[str, Any] = {"dense": {"drop": 0.0}}.get(loss, {})
    teachers = BOTH if loss == "gated" else ("rich",)
    tried = trial(loss, options, teachers=teachers)
    plain = trial(loss, {**options, "balanced": False}, teachers=teachers)
    learner, batch = plain.learner(), plain.batch()
    heard = batch.logits if loss != "dense" else batch.teachers["rich"]["logits"]
    if loss == "gated":
        heard = functional.gated_mixture(
            (spoken := torch.stack([batch.teachers[name]["logits"] for name in BOTH], dim=1)),
            learner.losses["gated"].gate(spoken.flatten(1)),
        ).detach()
    term = {"gated": "gated", "dense": "dense.rich"}.get(loss)

    def of(learner: Any, weights: Tensor) -> Tensor:
        total, terms = learner(batch._replace(trust=weights))
        found: Tensor = terms[term] if term else total
        return found

    ones, expected = torch.ones(8, dtype=torch.float64), expected_weights(heard, tried)
    torch.testing.assert_close(of(tried.learner(), ones), of(learner, expected))
    assert not torch.isclose(of(tried.learner(), ones), of(learner, ones))


def test_soft_cross_entropy_moves_the_network_as_soft_targets_do(trial: Tried) -> None:
    found = []
    for loss in ("soft", "soft_ce"):
        tried = trial(loss, {"temperature": 3.0})
        learner = tried.learner()
        found.append(torch.autograd.grad(learner(tried.batch())[0], list(learner.network.parameters())))
    for own, other in zip(*found, strict=True):
        torch.testing.assert_close(own, other)


@pytest.mark.parametrize("loss", ["soft", "soft_ce", "dkd", "ordinal", "dense", "pseudo"])
def test_windows_whose_trust_is_balanced_already_are_not_weighed_by_class_again(trial: Tried, loss: str) -> None:
    options = {"dense": {"drop": 0.0}}.get(loss, {})

    def of(settled: bool, on: str, **more: Any) -> Tensor:
        return value(trial(loss, {**options, "on": on, **more}, settled=settled))

    torch.testing.assert_close(of(True, "labelled"), of(False, "labelled"))
    assert not torch.isclose(of(True, "unlabelled"), of(False, "unlabelled"))
    if loss == "pseudo":
        tried = trial("pseudo")
        decision = tried.batch().logits[4:].argmax(dim=1)
        torch.testing.assert_close(of(True, "unlabelled"), cross_entropy(prediction(tried)[4:], decision))
    else:
        torch.testing.assert_close(of(True, "unlabelled"), of(False, "unlabelled", balanced=False))


def test_no_gradient_reaches_a_teacher_through_the_weights_of_windows(trial: Tried) -> None:
    for loss in ("soft", "soft_ce", "dense"):
        options = {"temperature": 1.0, **({"drop": 0.0} if loss == "dense" else {})}
        tried = trial(loss, options, live=True)
        plain = trial(loss, {**options, "balanced": False}, live=True)
        learner, batch = tried.learner().eval(), tried.batch()
        expected = expected_weights(learner.say(batch).logits, tried).detach()
        moved = [
            torch.autograd.grad(each(own, "linked")[0], list(each.partners["rich"].head.parameters()))
            for each, own in ((learner, batch), (plain.learner().eval(), batch._replace(trust=expected)))
        ]
        for own, other in zip(*moved, strict=True):
            assert own.any()
            torch.testing.assert_close(own, other)


def test_decoupled_as_released_keeps_half_of_the_first_divergence_and_balances_nothing(trial: Tried) -> None:
    tried = trial("dkd", {"temperature": 2.0, "beta": 0.0, "as_released": True})
    batch = tried.batch()
    target = torch.cat([batch.target[:4], batch.logits[4:].argmax(dim=1)])[:, None]
    p, q = (softmax(each / 2, dim=1).gather(1, target) for each in (batch.logits, prediction(tried)))
    torch.testing.assert_close(value(tried), 4 * (p * (p / q).log()).mean())


def test_a_gate_does_not_learn_from_windows_whose_knowledge_nobody_trusts(trial: Tried) -> None:
    tried = trial("gated", teachers=BOTH)
    trust = torch.tensor([1.0, 0, 1, 1, 1, 1, 1, 1], dtype=torch.float64)
    batch = tried.batch(trust=trust)
    for name in BOTH:
        batch.teachers[name]["logits"][1] = torch.nan
    wrong = tried.learner()(batch)[1]["gated.gate"]
    kept = tried.batch(labelled=tried.batch().labelled * trust)
    torch.testing.assert_close(wrong, tried.learner()(kept)[1]["gated.gate"])


def test_the_best_teacher_is_chosen_by_window_or_for_the_whole_batch(trial: Tried) -> None:
    tried = trial("soft", {"temperature": 1.0, "balanced": False}, teachers=BOTH)
    batch, student = tried.batch(), prediction(tried)
    spoken = torch.stack([batch.teachers[name]["logits"] for name in BOTH])
    errors = torch.stack([cross_entropy(said, batch.target, reduction="none") for said in spoken])[:, :4]
    best = errors.argmin(dim=0)
    assert best.unique().numel() == 2, "the windows must disagree about who is best"
    followed = torch.cat([spoken[best, torch.arange(4)], batch.logits[4:]])

    def of(select: str) -> Tensor:
        return value(trial("soft", {"temperature": 1.0, "balanced": False, "select": select}, teachers=BOTH))

    torch.testing.assert_close(of("window"), divergence(followed, student).mean())
    torch.testing.assert_close(of("batch"), divergence(spoken[errors.mean(dim=1).argmin()], student).mean())
    torch.testing.assert_close(of("none"), divergence(batch.logits, student).mean())


def test_a_choice_among_fewer_than_two_teachers_is_refused(trial: Tried) -> None:
    refused = (
        ("soft", {"select": "window"}, "select"),
        ("gated", {}, "taught_by"),
        ("pkdot", {"select": "batch"}, "select"),
    )
    for loss, options, place in refused:
        with pytest.raises(LimbeckError, match=rf"^{loss}\.{place}: .*at least 2 teachers, found 1"):
            trial(loss, options).learner()
    with pytest.raises(LimbeckError, match=r"select: expected one of none, window, batch, found 'all'"):
        trial("soft", {"select": "all"}).learner()


def test_decoupled_takes_the_label_where_there_is_one_and_the_teachers_decision_elsewhere(trial: Tried) -> None:
    tried = trial("dkd", {"temperature": 1.0, "beta": 0.0, "balanced": False})
    batch, student = tried.batch(), softmax(prediction(tried), dim=1)
    target = torch.cat([batch.target[:4], batch.logits[4:].argmax(dim=1)])[:, None]
    p, q = softmax(batch.logits, dim=1).gather(1, target), student.gather(1, target)
    torch.testing.assert_close(value(tried), (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean())


def test_pseudo_labels_learn_from_unlabelled_windows_of_which_the_teacher_is_sure(trial: Tried) -> None:
    tried = trial("pseudo", {"threshold": 0.5})
    batch, student = tried.batch(), prediction(tried)
    sure, decision = softmax(batch.logits, dim=1).max(dim=1)
    kept = (sure >= 0.5).double() * (1 - batch.labelled) * batch.class_weights[decision]
    assert 0 < (kept > 0).sum() < 4, "the threshold must matter"
    errors = cross_entropy(student, decision, reduction="none")
    torch.testing.assert_close(value(tried), (errors * kept).sum() / kept.sum())


def test_the_gate_learns_from_labels_and_the_student_does_not_move_it(trial: Tried) -> None:
    tried = trial("gated", {"balanced": False}, teachers=BOTH)
    learner, batch = tried.learner(), tried.batch()
    _, terms = learner(batch)
    gate = list(learner.losses["gated"].gate.parameters())
    assert all(g is None for g in torch.autograd.grad(terms["gated"], gate, retain_graph=True, allow_unused=True))
    network = list(learner.network.parameters())
    assert all(
        g is None for g in torch.autograd.grad(terms["gated.gate"], network, retain_graph=True, allow_unused=True)
    )
    spoken = torch.stack([batch.teachers[name]["logits"] for name in BOTH], dim=1)
    parts = softmax(learner.losses["gated"].gate(spoken.flatten(1)), dim=1)
    mixture = (parts[..., None] * spoken).sum(dim=1)
    torch.testing.assert_close(
        terms["gated.gate"], cross_entropy(mixture[:4], batch.target[:4], weight=batch.class_weights)
    )
    torch.testing.assert_close(terms["gated"], 9 * divergence(mixture / 3, prediction(tried) / 3).mean())


def test_a_gate_that_learns_prefers_the_teacher_that_is_right(trial: Tried) -> None:
    tried = trial("gated", teachers=BOTH)
    learner, batch = tried.learner(), tried.batch()
    right = 4 * torch.nn.functional.one_hot(batch.target, 3).double()
    batch.teachers["rich"]["logits"], batch.teachers["other"]["logits"] = right, -right
    optimiser = torch.optim.Adam(learner.parameters(), 0.05)
    for _ in range(60):
        optimiser.zero_grad()
        learner(batch)[0].backward()
        optimiser.step()
    spoken = torch.stack([right, -right], dim=1)
    assert softmax(learner.losses["gated"].gate(spoken.flatten(1)), dim=1)[:4, 0].min() > 0.9


def test_densely_guided_is_the_sum_over_the_teachers_that_are_not_left_out(trial: Tried, evaluate: Tried) -> None:
    tried = trial("dense", {"temperature": 2.0, "drop": 0.75, "balanced": False}, teachers=BOTH)
    learner, batch, student = tried.learner(), tried.batch(), prediction(tried)
    apart = [4 * divergence(batch.teachers[name]["logits"] / 2, student / 2).mean() for name in BOTH]
    state = dict(learner.named_parameters())
    for here in ((1, 1), (1, 0), (0, 0)):
        mask = 4 * torch.tensor(here, dtype=torch.float64)
        total, terms = evaluate(learner, {**state, "losses.dense.dropout.mask": mask}, batch)
        torch.testing.assert_close(
            total, sum(t * a for t, a in zip(here, apart, strict=True)) + torch.zeros_like(total)
        )
        torch.testing.assert_close(terms["dense.other"], apart[1])
    with pytest.raises(LimbeckError, match="drop: expected a probability below 1"):
        trial("dense", {"drop": 1}).learner()


def test_the_released_dense_guidance_swaps_the_divergence_and_leaves_out_the_temperature(trial: Tried) -> None:
    tried = trial("dense", {"drop": 0.0, "balanced": False, "t_squared": False, "reverse": True})
    teacher = tried.batch().teachers["rich"]["logits"]
    torch.testing.assert_close(value(tried), divergence(prediction(tried) / 2, teacher / 2).mean())
