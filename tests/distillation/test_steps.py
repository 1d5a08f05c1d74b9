"""Where gradients flow in each phase of a step, and that the feedback is the derivative of the student's quiz."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from limbeck.distillation import Batch, Feedback, Joint, make_steps
from limbeck.errors import LimbeckError

Make = Callable[..., Any]
RATE = 0.3


def phases(rate: float = RATE, step: int = 0, **options: Any) -> dict[str, Any]:
    """Return the phases of a step of feedback, by the name of their loss."""
    return {phase.name: phase for phase in Feedback(**options).phases(step, rate)}


def largest(gradient: dict[str, Tensor], prefix: str) -> float:
    found = [float(value.abs().max()) for name, value in gradient.items() if name.startswith(prefix)]
    assert found
    return max(found)


# ---- by hand --------------------------------------------------------------------------------------------------------


def says(own: dict[str, Tensor], buffers: dict[str, Tensor], of: str, inputs: list[Tensor]) -> Tensor:
    """Return the logits of a network in evaluation mode, written out."""
    x = torch.cat(inputs, dim=1) @ own[f"{of}.first.weight"].T + own[f"{of}.first.bias"]
    mean, variance = buffers[f"{of}.norm.running_mean"], buffers[f"{of}.norm.running_var"]
    x = (x - mean) / torch.sqrt(variance + 1e-5) * own[f"{of}.norm.weight"] + own[f"{of}.norm.bias"]
    return torch.tanh(x) @ own[f"{of}.head.weight"].T + own[f"{of}.head.bias"]


def quiz_error(logits: Tensor, batch: Batch) -> Tensor:
    return nn.functional.cross_entropy(logits, batch.sights["quiz"].notes["target"], weight=batch.class_weights)


def taught_error(student: Tensor, teacher: Tensor, batch: Batch, temperature: float = 2.0) -> Tensor:
    """Return half the error on the labels plus T² times the weighted divergence from the teacher."""
    weights = batch.class_weights[batch.target] * batch.labelled
    hard = (nn.functional.cross_entropy(student, batch.target, reduction="none") * weights).sum() / weights.sum()
    softened = (teacher / temperature).softmax(dim=1)
    told = (softened * (softened.log() - (student / temperature).log_softmax(dim=1))).sum(dim=1)
    own = batch.trust * (teacher.detach().softmax(dim=1) @ batch.class_weights)
    return 0.5 * hard + temperature**2 * (told * own).sum() / own.sum()


def by_hand(bench: Any, batch: Batch, student_weight: float = 1.0, teacher_weight: float = 1.0) -> dict[str, Tensor]:
    """Return the gradient of the whole two-step computation at the teacher's parameters, by autograd alone."""
    own = {name: value.detach().requires_grad_() for name, value in bench.parameters.items()}
    teacher_names = [name for name in own if name.startswith("partners.teacher.")]
    student_names = [name for name in own if name.startswith("network.")]
    plain, quiz = batch.sights["plain"].inputs, batch.sights["quiz"].inputs
    rich, rich_quiz = batch.sights["teacher/plain"].inputs, batch.sights["teacher/quiz"].inputs
    student = says(own, bench.buffers, "network", [plain["x"]])
    teacher = says(own, bench.buffers, "partners.teacher", [rich["x"], rich["y"]])
    inner = torch.autograd.grad(
        taught_error(student, teacher, batch), [own[name] for name in student_names], create_graph=True
    )
    ahead = dict(own)
    for name, gradient in zip(student_names, inner, strict=True):
        ahead[name] = own[name] - RATE * gradient
    student_error = quiz_error(says(ahead, bench.buffers, "network", [quiz["x"]]), batch)
    teacher_error = quiz_error(says(own, bench.buffers, "partners.teacher", [rich_quiz["x"], rich_quiz["y"]]), batch)
    total = teacher_weight * teacher_error + student_weight * student_error
    found = torch.autograd.grad(total, [own[name] for name in teacher_names])
    return dict(zip(teacher_names, found, strict=True))


def of_teacher(gradient: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in gradient.items() if name.startswith("partners.teacher.")}


@pytest.mark.parametrize(("student_weight", "teacher_weight"), [(1.0, 1.0), (2.5, 0.0), (0.5, 3.0)])
def test_second_order_feedback_is_the_gradient_of_both_steps_written_out(
    bench: Make, batch: Make, student_weight: float, teacher_weight: float
) -> None:
    own, one = bench(), batch()
    options = {"student_weight": student_weight, "teacher_weight": teacher_weight}

    found = of_teacher(own.gradient(phases(**options)["feedback"], one))

    expected = by_hand(own, one, **options)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert largest(found, "partners.teacher.head") > 1e-4


def test_the_step_of_the_copy_is_as_long_as_the_stages_unless_it_is_given(bench: Make, batch: Make) -> None:
    own, one = bench(), batch()

    given = own.gradient(phases(rate=9.0, inner_rate=RATE)["feedback"], one)

    torch.testing.assert_close(of_teacher(given), by_hand(own, one), rtol=1e-9, atol=1e-12)
    longer = own.gradient(phases(rate=9.0)["feedback"], one)
    assert not torch.allclose(longer["partners.teacher.head.weight"], given["partners.teacher.head.weight"])


def test_finite_differences_agree_with_the_second_order(bench: Make, batch: Make) -> None:
    own, one = bench(), batch()

    exact = of_teacher(own.gradient(phases(teacher_weight=0.0)["feedback"], one))
    found = of_teacher(own.gradient(phases(teacher_weight=0.0, mode="finite_diff")["feedback"], one))

    scale = max(float(value.abs().max()) for value in exact.values())
    assert scale > 1e-5
    for name, value in exact.items():
        assert float((found[name] - value).abs().max()) < 1e-3 * scale


# ---- who is moved by what ---------------------------------------------------------------------------------------


def test_teaching_moves_the_student_and_not_its_teacher(bench: Make, batch: Make) -> None:
    own, one = bench(), batch()
    teach = phases()["loss"]

    gradient = own.gradient(teach, one)

    assert teach.trains == ("network.", "losses.")
    assert teach.training
    assert largest(gradient, "network.") > 1e-3
    assert largest(gradient, "partners.") == 0.0


@pytest.mark.parametrize("mode", ["second_order", "finite_diff", "ce_only"])
def test_feedback_trains_the_teacher_alone_and_gives_the_student_no_gradient(
    bench: Make, batch: Make, mode: str
) -> None:
    own, one = bench(), batch()
    feedback = phases(mode=mode)["feedback"]

    gradient = own.gradient(feedback, one)

    assert feedback.trains == ("partners.teacher.",)
    assert largest(gradient, "partners.teacher.") > 1e-4
    assert largest(gradient, "network.") == 0.0


@pytest.mark.parametrize(("mode", "matters"), [("second_order", True), ("finite_diff", True), ("ce_only", False)])
def test_the_students_error_reaches_the_teacher_unless_it_is_only_a_number(
    bench: Make, batch: Make, mode: str, matters: bool
) -> None:
    own, one = bench(), batch()

    with_it = own.gradient(phases(mode=mode)["feedback"], one)
    without = own.gradient(phases(mode=mode, student_weight=0.0)["feedback"], one)

    moved = max(float((with_it[name] - without[name]).abs().max()) for name in with_it)
    assert (moved > 1e-5) is matters
    assert largest(without, "partners.teacher.") > 1e-4


def test_a_student_that_weighs_nothing_leaves_the_teachers_own_error(bench: Make, batch: Make) -> None:
    own, one = bench(), batch()

    regulated_away = own.gradient(phases()["feedback"], one._replace(strength=torch.zeros((), dtype=torch.float64)))

    expected = own.gradient(phases(student_weight=0.0)["feedback"], one)
    torch.testing.assert_close(regulated_away, expected, rtol=1e-12, atol=0)


def test_the_numbers_that_are_reported_are_the_errors_in_the_quiz(bench: Make, batch: Make) -> None:
    own, one = bench(), batch()
    feedback = phases()["feedback"]
    own.learner.train(False)

    _, terms = feedback.loss(own.evaluate, own.parameters, one)

    quiz, rich = one.sights["quiz"].inputs, one.sights["teacher/quiz"].inputs
    student = says(own.parameters, own.buffers, "network", [quiz["x"]])
    teacher = says(own.parameters, own.buffers, "partners.teacher", [rich["x"], rich["y"]])
    torch.testing.assert_close(terms["quiz.student"], quiz_error(student, one))
    torch.testing.assert_close(terms["quiz.teacher"], quiz_error(teacher, one))


# ---- what feedback leaves alone -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["second_order", "finite_diff", "ce_only"])
def test_feedback_leaves_running_statistics_alone_and_dropout_off(bench: Make, batch: Make, mode: str) -> None:
    own, one = bench(), batch()
    before = {name: value.clone() for name, value in own.buffers.items()}
    feedback = phases(mode=mode)["feedback"]

    first = own.gradient(feedback, one)
    for module in (own.learner.network.dropout, own.learner.partners["teacher"].dropout):
        module.mask = torch.zeros(())
    second = own.gradient(feedback, one)

    assert not feedback.training
    torch.testing.assert_close(own.buffers, before, rtol=0, atol=0)
    torch.testing.assert_close(second, first, rtol=0, atol=0)


def test_teaching_does_use_the_statistics_and_the_masks_of_training(bench: Make, batch: Make) -> None:
    own, one = bench(), batch()
    before = own.buffers["network.norm.running_mean"].clone()

    first = own.gradient(phases()["loss"], one)
    own.learner.network.dropout.mask = torch.zeros(())
    second = own.gradient(phases()["loss"], one)

    assert not torch.equal(own.buffers["network.norm.running_mean"], before)
    assert not torch.allclose(first["network.head.weight"], second["network.head.weight"])


# ---- order and pace ------------------------------------------------------------------------------------------------


def test_the_teacher_learns_after_the_lesson_or_before_it() -> None:
    first = [phase.name for phase in Feedback().phases(0, RATE)]
    meta = [phase.name for phase in Feedback(order="feedback_first").phases(0, RATE)]

    assert first == ["loss", "feedback"]
    assert meta == ["feedback", "loss"]


def test_the_teacher_learns_every_so_many_steps() -> None:
    steps = Feedback(every=3)

    assert [len(steps.phases(step, RATE)) for step in range(7)] == [2, 1, 1, 2, 1, 1, 2]


def test_a_teacher_that_does_not_learn_asks_for_no_quiz() -> None:
    steps = Feedback(mode="none", quiz=8, regulated=True)

    assert [phase.name for phase in steps.phases(0, RATE)] == ["loss"]
    assert steps.quiz == 0
    assert not steps.regulated


def test_the_teacher_may_learn_at_a_rate_of_its_own() -> None:
    assert phases()["feedback"].rate is None
    assert phases(teacher_rate=1e-4)["feedback"].rate == 1e-4
    assert phases(teacher_rate=1e-4)["loss"].rate is None


def test_a_joint_step_moves_everything_at_once(bench: Make, batch: Make) -> None:
    (phase,) = Joint().phases(0, RATE)

    assert phase.trains == ("",)
    assert phase.training
    assert largest(bench().gradient(phase, batch()), "network.") > 1e-3


# ---- as a study writes them ------------------------------------------------------------------------------------------


def test_steps_are_joint_unless_a_stage_names_others() -> None:
    assert isinstance(make_steps(None), Joint)
    assert isinstance(make_steps({"joint": {}}), Joint)
    found = make_steps({"feedback": {"mode": "ce_only", "every": 2, "quiz": 4}})
    assert isinstance(found, Feedback)
    assert (found.mode, found.every, found.quiz, found.partner) == ("ce_only", 2, 4, "teacher")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"feedbak": {}}, "Did you mean 'feedback'"),
        ({"feedback": {"mod": "none"}}, "Did you mean 'mode'"),
        ({"feedback": {"mode": "third_order"}}, "mode: expected one of none, ce_only, second_order, finite_diff"),
        ({"feedback": {"order": "last"}}, "order: expected one of teach_first, feedback_first"),
        ({"feedback": {"every": 0}}, "every: expected a whole number of at least 1"),
        ({"feedback": {"quiz": 2.5}}, "quiz: expected a whole number of at least 1"),
        ({"feedback": {"student_weight": -1}}, "student_weight: expected a number of at least 0"),
        ({"feedback": {"inner_rate": 0}}, "inner_rate: expected a number above 0"),
        ({"feedback": {"teacher_rate": "fast"}}, "teacher_rate: expected a number above 0"),
        ({"joint": {}, "feedback": {}}, "one kind of step, found joint, feedback"),
    ],
)
def test_a_mistaken_step_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(LimbeckError, match=message):
        make_steps(given)
