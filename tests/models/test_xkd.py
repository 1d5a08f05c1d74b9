"""XKD: refinement, slow copies, what the losses compare, and the way to the task."""

from __future__ import annotations

import pytest
import torch
from cases.xkd import SHAPES, SMALL
from torch import Tensor

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build
from limbeck.models.masked_autoencoder import masking_noise, reconstruction_error
from limbeck.models.xkd import XKDPretext, XKDTaps, cross_modal_attention, refine

PROJECTED = {"projector": 7, "bottleneck": 3, "outputs": 9}


def windows(batch: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Return random windows of the case."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape.zeros(batch).shape, generator=generator) for name, shape in SHAPES.items()}


def a_pretext(seed: int = 0, **options: object) -> XKDPretext:
    """Return a small one."""
    torch.manual_seed(seed)
    return XKDPretext(SHAPES, **SMALL, decoder_width=6, decoder_heads=2, **PROJECTED, **options)


def noise(batch: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Return which tokens are hidden."""
    generator = torch.Generator().manual_seed(seed)
    return {name: masking_noise(batch, 4, generator=generator) for name in SHAPES}


def test_refinement_weights_tokens_and_keeps_the_energy_of_their_mean() -> None:
    torch.manual_seed(0)
    tokens, attention = torch.randn(2, 5, 6), torch.rand(2, 3, 5)
    refined = refine(tokens, attention)

    torch.testing.assert_close(refined.mean(1).norm(dim=1), tokens.mean(1).norm(dim=1))
    for window in range(2):
        weights = refined[window] / tokens[window]  # the same number in every column of a token
        torch.testing.assert_close(weights, weights[:, :1].expand(-1, 6), rtol=1e-4, atol=1e-4)
        expected = attention[window].mean(0)
        torch.testing.assert_close(weights[:, 0] / weights[0, 0], expected / expected[0], rtol=1e-4, atol=1e-4)


def test_equal_attention_changes_nothing() -> None:
    tokens = torch.randn(2, 5, 6)

    torch.testing.assert_close(refine(tokens, torch.full((2, 3, 5), 0.2)), tokens)


def test_the_published_attention_across_modalities_is_ones_own_times_a_number() -> None:
    torch.manual_seed(0)
    own, other = torch.rand(2, 3, 5), torch.rand(2, 3, 7)
    every_pair = own[:, :, None] * other[:, :, :, None]
    expected = every_pair.mean(dim=2) / own.mean(dim=2, keepdim=True)

    found = cross_modal_attention(own, other)

    torch.testing.assert_close(found, expected)
    tokens = torch.randn(2, 5, 6)
    torch.testing.assert_close(  # with a single head nothing of the other modality is left
        refine(tokens, found[:, :1]), refine(tokens, own[:, :1]), rtol=1e-4, atol=1e-5
    )


def test_the_taps_have_the_promised_shapes() -> None:
    model = a_pretext(mask=0.5)
    taps = model(windows(), noise())

    assert model.n_tokens == {"eda": 4, "acc": 4}
    assert isinstance(taps, XKDTaps)
    assert {name: tuple(value.shape) for name, value in taps.students.items()} == {"eda": (3, 9), "acc": (3, 9)}
    assert {name: tuple(value.shape) for name, value in taps.teachers.items()} == {"eda": (3, 9), "acc": (3, 9)}
    assert taps.reconstructions["acc"].predicted["acc"].shape == (3, 4, 12)
    assert taps.reconstructions["acc"].tokens.shape == (3, 2, 8)


def test_gradients_reach_the_students_alone() -> None:
    model = a_pretext()
    taps = model(windows(), noise())
    loss = sum(reconstruction_error(found) for found in taps.reconstructions.values())
    loss = loss + sum((taps.students[name] * torch.randn(3, 9)).sum() for name in SHAPES)
    loss.backward()

    assert not any(value.requires_grad for value in taps.teachers.values())
    unreached = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is None}
    assert unreached == {"teachers"}


def test_teachers_start_as_their_students_and_follow_slowly() -> None:
    model = a_pretext().double()
    student = model.encoders["eda"].norm.weight
    teacher = model.teachers["encoders"]["eda"].norm.weight
    assert torch.equal(student, teacher)

    with torch.no_grad():
        student.add_(1.0)
    for _ in range(5):
        model.update_teachers(0.9)

    torch.testing.assert_close(student - teacher, torch.full_like(student, 0.9**5), rtol=1e-10, atol=1e-10)
    assert not teacher.requires_grad


def test_a_teacher_sees_the_whole_window_and_a_student_what_is_shown() -> None:
    model, inputs = a_pretext(mask=0.5).eval(), windows()
    shown_first = {name: torch.tensor([[0.1, 0.2, 0.8, 0.9]]).expand(3, -1) for name in SHAPES}
    other = {**inputs, "eda": torch.cat([inputs["eda"][..., :4], -3.0 * torch.ones(3, 1, 4)], dim=-1)}

    before, after = model(inputs, shown_first), model(other, shown_first)

    torch.testing.assert_close(before.students, after.students)
    assert not torch.allclose(before.teachers["eda"], after.teachers["eda"])
    torch.testing.assert_close(before.teachers["acc"], after.teachers["acc"])


def test_a_published_teacher_hears_of_the_other_modality_by_a_number() -> None:
    model, inputs = a_pretext(as_released=True).eval(), windows()
    for parameter in model.teachers.parameters():
        parameter.copy_(0.5 * torch.randn(parameter.shape))
    other = {**inputs, "acc": -inputs["acc"]}

    difference = (model.teach(inputs)["eda"] - model.teach(other)["eda"]).abs().max()

    assert 0 < difference < (model.teach(inputs)["acc"] - model.teach(other)["acc"]).abs().max()


def test_local_views_may_be_shorter() -> None:
    model, inputs = a_pretext().eval(), windows()
    local = {"eda": inputs["eda"][..., :6], "acc": inputs["acc"][..., :9]}

    assert {name: tuple(value.shape) for name, value in model.study(local).items()} == {"eda": (3, 9), "acc": (3, 9)}


def test_dropout_is_the_students_alone() -> None:
    model, inputs = a_pretext(dropout=0.5).train(), windows()
    for module in model.modules():
        if hasattr(module, "mask") and hasattr(module, "p"):
            module.mask = torch.tensor(0.5)

    torch.testing.assert_close(model.teach(inputs), model.eval().teach(inputs))


def test_many_pretext_networks_go_through_vmap() -> None:
    networks = [a_pretext(seed).eval() for seed in range(2)]
    inputs = {name: torch.stack([windows(seed=seed)[name] for seed in range(2)]) for name in SHAPES}
    drawn = {name: torch.stack([noise(seed=seed)[name] for seed in range(2)]) for name in SHAPES}
    parameters, buffers = torch.func.stack_module_state([network.requires_grad_(False) for network in networks])

    def call(p: dict[str, Tensor], b: dict[str, Tensor], x: dict[str, Tensor], n: dict[str, Tensor]) -> XKDTaps:
        return torch.func.functional_call(networks[0], (p, b), (x, n))

    found = torch.vmap(call)(parameters, buffers, inputs, drawn)
    for place, network in enumerate(networks):
        expected = network(windows(seed=place), noise(seed=place))
        for part in ("students", "teachers"):
            one = {name: value[place] for name, value in getattr(found, part).items()}
            torch.testing.assert_close(one, getattr(expected, part), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("modality", list(SHAPES))
def test_the_network_starts_from_the_encoders_of_what_it_reads(modality: str) -> None:
    pretext = a_pretext().eval()
    network = build("xkd", {modality: SHAPES[modality]}, 2, **SMALL).eval()
    start = f"encoders.{modality}."
    kept = {name: value for name, value in pretext.state_dict().items() if name.startswith(start)}

    found = network.load_state_dict(kept, strict=False)

    assert {name.split(".")[0] for name in found.missing_keys} == {"head"}
    inputs = windows()
    outputs = network(inputs)
    assert torch.equal(outputs.features[modality], pretext.encoders[modality](inputs))
    torch.testing.assert_close(outputs.features["embedding"], outputs.features[modality].mean(dim=1))


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_encoder_takes_no_gradient(frozen: bool) -> None:
    model = build("xkd", SHAPES, 2, **SMALL, frozen=frozen)
    model(windows()).prediction.square().sum().backward()

    reached = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == {"head"} | (set() if frozen else {"encoders"})


def test_what_it_cannot_learn_from_is_refused() -> None:
    with pytest.raises(LimbeckError, match="needs at least two"):
        XKDPretext({"eda": SHAPES["eda"]})
    with pytest.raises(LimbeckError, match="needs exactly two"):
        XKDPretext({**SHAPES, "bvp": InputShape(1, 8, 4.0)}, as_released=True)
    with pytest.raises(LimbeckError, match="mask is 1"):
        XKDPretext(SHAPES, mask=1.0)
    with pytest.raises(LimbeckError, match="8 samples or more"):
        build("xkd", {"eda": InputShape(1, 7, 4.0)}, 2)
