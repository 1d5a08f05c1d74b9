"""What every registered model promises, tried on every registered model."""

from __future__ import annotations

import copy
import fnmatch
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES, COUNTS, Count
from cases.plain import COLUMNS, WRISTBAND
from learning import gradients_of, labelled_batch, learners, members_of
from torch import Tensor, nn

from limbeck.errors import DataError, LimbeckError
from limbeck.export import to_onnx
from limbeck.models import (
    MODELS,
    InputShape,
    Outputs,
    build,
    count_multiply_adds,
    count_parameters,
    dry_run,
    layer_table,
)
from limbeck.models.contract import class_of

Draw = Callable[..., dict[str, Tensor]]


every_model = pytest.mark.parametrize("name", sorted(CASES))
FLAGS = ("as_released", "frozen")
every_flag = pytest.mark.parametrize(
    ("name", "flags"),
    [
        *(pytest.param(name, {}, id=name) for name in sorted(CASES)),
        *(
            pytest.param(name, {flag: True}, id=f"{name}-{flag}")
            for name in sorted(CASES)
            for flag in FLAGS
            if flag in MODELS.options(name)
        ),
    ],
)
"""Every model as it is, and as it was published where a flag brings that back, and with parts of it frozen."""

every_target = pytest.mark.parametrize("n_outputs", [3, 1], ids=["classes", "trace"])


def make(name: str, n_outputs: int = 2, *, n_steps: int = 0, **options: Any) -> Any:
    """Build a model for its case."""
    case = CASES[name]
    return build(name, case.modalities, n_outputs, n_steps=n_steps, **{**case.options, **options})


def away_from_zero(model: nn.Module, seed: int = 1) -> nn.Module:
    """Move every weight by a random value, so that models which start at zero are tried as well."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def test_every_registered_network_has_a_case() -> None:
    # Classical models, which have no gradients, are tried in test_classical.py.
    assert set(CASES) == {name for name in MODELS if class_of(name).family == "network"}


@every_model
@every_target
@pytest.mark.parametrize("batch", [1, 3])
def test_outputs_have_the_promised_shapes(name: str, n_outputs: int, batch: int, random_inputs: Draw) -> None:
    case = CASES[name]
    model = make(name, n_outputs)

    for training in (True, False):
        outputs = model.train(training)(random_inputs(case.modalities, batch))

        assert isinstance(outputs, Outputs)
        assert outputs.prediction.shape == (batch, n_outputs)
        assert outputs.prediction.dtype == torch.float32
        assert {feature: tuple(value.shape) for feature, value in outputs.features.items()} == {
            feature: (batch, *shape) for feature, shape in case.features.items()
        }


@every_flag
@every_target
def test_gradients_reach_every_parameter(
    name: str, flags: dict[str, bool], n_outputs: int, random_inputs: Draw
) -> None:
    # as float64, where a gradient that is zero by the mathematics is not hidden by rounding; drawn several times, since
    # all units of a small layer may rest by chance
    sizes: dict[str, float] = {}
    for seed in range(1, 4):
        model = away_from_zero(make(name, n_outputs, **flags), seed).double()
        inputs = {modality: x.double() for modality, x in random_inputs(CASES[name].modalities, 4, seed=seed).items()}
        drawn = torch.randn(4, n_outputs, generator=torch.Generator().manual_seed(seed))
        (model(inputs).prediction * drawn).sum().backward()
        for n, p in model.named_parameters():
            sizes[n] = max(sizes.get(n, 0.0), 0.0 if p.grad is None else float(p.grad.abs().max()))

    least = 1e-12 * max(sizes.values())
    unreached = {n for n, p in model.named_parameters() if p.requires_grad and sizes[n] <= least}
    idle = make(name, n_outputs, **flags).idle
    assert unreached == {n for n in sizes if any(fnmatch.fnmatchcase(n, pattern) for pattern in idle)}
    assert all(idle.values()), "each with its reason"


@every_model
def test_in_evaluation_a_window_does_not_depend_on_its_batch(name: str, random_inputs: Draw) -> None:
    # as float64: sums are taken in another order for another number of windows, and float32 would round differently
    model = away_from_zero(make(name)).double().eval()
    inputs = {m: x.double() for m, x in random_inputs(CASES[name].modalities, 5).items()}
    strangers = {m: x.double() for m, x in random_inputs(CASES[name].modalities, 5, seed=9).items()}
    mixed = {m: torch.cat([100.0 * strangers[m][:2], inputs[m][3:4], strangers[m][2:]]) for m in inputs}

    alone, among_others = model({m: x[3:4] for m, x in inputs.items()}), model(mixed)

    torch.testing.assert_close(alone.prediction[0], among_others.prediction[2], rtol=1e-9, atol=1e-9)
    for feature in alone.features:
        torch.testing.assert_close(alone.features[feature][0], among_others.features[feature][2], rtol=1e-9, atol=1e-9)


@every_model
def test_a_model_keeps_its_outputs_through_its_state(name: str, random_inputs: Draw) -> None:
    model = away_from_zero(make(name)).eval()
    other = make(name).eval()
    inputs = random_inputs(CASES[name].modalities, 3)
    before = other(inputs).prediction

    other.load_state_dict(copy.deepcopy(model.state_dict()))

    assert not torch.equal(before, model(inputs).prediction)
    assert torch.equal(other(inputs).prediction, model(inputs).prediction)


@every_model
def test_a_model_draws_no_random_numbers_of_its_own(name: str, random_inputs: Draw) -> None:
    model = make(name).train()
    inputs = random_inputs(CASES[name].modalities, 3)
    state = torch.random.get_rng_state()

    first, second = model(inputs).prediction, model(inputs).prediction

    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(first, second)


@every_model
@every_target
def test_both_backends_agree_on_outputs_and_gradients(name: str, n_outputs: int, random_inputs: Draw) -> None:
    modalities = CASES[name].modalities
    members = members_of(3, 6)
    drawn = [random_inputs(modalities, 6, seed=f) for f in range(3)]
    inputs = {m: torch.stack([one[m] for one in drawn]) for m in modalities}
    target = torch.arange(18).reshape(3, 6) % n_outputs if n_outputs > 1 else torch.linspace(-2, 2, 18).reshape(3, 6)
    batch = labelled_batch(inputs, target, n_outputs)
    found = {}
    if class_of(name).looped:
        with pytest.raises(DataError, match="looped"):
            learners(lambda: make(name, n_outputs), modalities, members, n_outputs, "stacked")
        return
    for backend in ("stacked", "looped"):
        ensemble = learners(lambda: make(name, n_outputs), modalities, members, n_outputs, backend)
        gradient, loss, _ = gradients_of(ensemble, batch, step=4)
        outputs = ensemble.outputs(inputs)
        found[backend] = (gradient, loss, outputs.prediction, outputs.features)

    assert found["stacked"][0].abs().max() > 1e-3
    assert set(found["stacked"][3]) == set(CASES[name].features)
    largest = max(1.0, float(found["stacked"][0].abs().max()))  # rounding is relative to the largest
    torch.testing.assert_close(found["stacked"][0], found["looped"][0], rtol=1e-5, atol=1e-5 * largest)
    torch.testing.assert_close(found["stacked"][1:], found["looped"][1:], rtol=1e-5, atol=1e-5)


@every_model
def test_options_are_those_of_the_constructor_and_unknown_ones_are_refused(name: str) -> None:
    options = MODELS.options(name)

    build(name, CASES[name].modalities, 2, **{**options, **CASES[name].options})
    with pytest.raises(LimbeckError, match=f"The model '{name}' has no option 'wdth'"):
        build(name, CASES[name].modalities, 2, wdth=4)


@pytest.mark.parametrize("name", MODELS)
def test_any_value_of_an_option_makes_a_network_that_runs_or_is_refused(name: str) -> None:
    columns = {"eda": InputShape(5)}
    modalities, options = (CASES[name].modalities, CASES[name].options) if name in CASES else (columns, {})
    for option, default in MODELS.options(name).items():
        for value in (0, -1, 2.5, "a", None, True, False, [], [0], float("nan"), float("inf")):
            try:
                model = build(name, modalities, 2, **{**options, option: value})
            except LimbeckError:
                continue
            assert isinstance(value, bool) == isinstance(default, bool) or default is None
            assert dry_run(model, modalities).prediction.isfinite().all()


@every_model
def test_help_describes_the_model_in_its_first_line(name: str) -> None:
    assert 20 < len(MODELS.help(name).splitlines()[0]) < 121


@every_model
def test_the_wrong_kind_of_input_is_refused_with_what_to_do(name: str) -> None:
    reads_features = class_of(name).reads == "features"
    wrong = {"temp": InputShape(1, 60, 4.0)} if reads_features else {"temp": InputShape(5)}
    advice = "add a features step" if reads_features else "remove the features step"

    with pytest.raises(LimbeckError, match=rf"reads (features|signals)(.|\n)*temp(.|\n)*{advice}"):
        build(name, wrong, 2)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (InputShape(0, 60, 4.0), "'eda' has 0 channels; expected at least 1"),
        (InputShape(1, 60, 0.0), "'eda' has a rate of 0.0 Hz; expected more than 0"),
        (InputShape(1, 60, float("inf")), "'eda' has a rate of inf Hz"),
        (InputShape(1, 60, float("nan")), "'eda' has a rate of nan Hz"),
        (InputShape(1, 0, 4.0), "'eda' has windows of 0 samples"),
    ],
)
def test_shapes_that_no_window_has_are_refused(shape: InputShape, said: str) -> None:
    with pytest.raises(LimbeckError, match=said):
        build("student_cnn", {"eda": shape}, 2)


@pytest.mark.parametrize("modality", ["", "left.eda", "keys", "type", "half", "training", "pop"])
def test_modalities_that_modules_cannot_stand_under_are_refused(modality: str) -> None:
    with pytest.raises(LimbeckError, match=f"A modality cannot be called '{modality}'"):
        build("fusion_cnn", {modality: InputShape(1, 60, 4.0)}, 2)


@every_model
def test_a_modality_called_like_a_feature_is_refused_where_one_would_hide_the_other(name: str) -> None:
    case = CASES[name]
    taken = set(case.features) - set(case.modalities)
    named_by = [(f"{modality}_", f"_{modality}") for modality in case.modalities]
    taken -= {one for one in taken for first, last in named_by if one.startswith(first) or one.endswith(last)}
    by_modality = set(case.features) & set(case.modalities)
    assert set(class_of(name).taken) >= (taken if by_modality else set())
    for feature in class_of(name).taken:
        first, *others = case.modalities.items()
        with pytest.raises(LimbeckError, match=f"has a feature called '{feature}' of its own"):
            build(name, {feature: first[1], **dict(others)}, 2, **case.options)


def test_numbers_of_outputs_and_steps_that_make_no_prediction_are_refused() -> None:
    with pytest.raises(LimbeckError, match="A model with 0 outputs predicts nothing"):
        build("linear", COLUMNS, 0)
    with pytest.raises(LimbeckError, match="n_steps is -1; expected 0"):
        build("student_nano", CASES["student_nano"].modalities, 2, n_steps=-1)


def test_what_a_constructor_stumbles_over_is_told_with_model_and_options() -> None:
    with pytest.raises(LimbeckError, match=r"The model 'student_cnn' cannot be built with \{'width': 4000000000\}: "):
        build("student_cnn", CASES["student_cnn"].modalities, 2, width=4_000_000_000)


def test_numbers_of_numpy_are_numbers() -> None:
    model = make("mlp", hidden=np.int64(6), dropout=np.float32(0.25))
    assert type(model.first.out_features) is int
    assert make("cgan", hidden=np.array([3, 2])).head.in_features == 3


@every_model
def test_an_empty_view_is_refused(name: str) -> None:
    with pytest.raises(LimbeckError, match="at least one modality"):
        build(name, {}, 2)


def test_a_misspelt_option_or_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(LimbeckError, match="Did you mean 'width'"):
        build("student_cnn", CASES["student_cnn"].modalities, 2, widht=4)
    with pytest.raises(LimbeckError, match="Did you mean 'student_cnn'"):
        build("studentcnn", CASES["student_cnn"].modalities, 2)


def test_the_layer_table_shows_products_of_attention_and_layers_that_nothing_passes() -> None:
    case = CASES["pain_attn_net"]
    table = {row.name: row for row in layer_table(make("pain_attn_net", as_released=True), case.modalities)}
    steps, width = 24, 16
    assert table["encoder.0.attention"].multiply_adds == 2 * steps * steps * width
    assert table["encoder.0.attention"].parameters == 0
    assert table["encoder.0.attention_norm"][2:] == ((), 2 * width, 0)


def test_a_dry_run_names_the_features_and_leaves_the_model_as_it_was() -> None:
    model = build("fusion_cnn", WRISTBAND, 2).train()
    before = copy.deepcopy(model.state_dict())

    outputs = dry_run(model, WRISTBAND, batch=4)

    assert model.training
    assert outputs.prediction.shape == (4, 2)
    assert outputs.features["fused"].shape == (4, 32)
    assert not outputs.prediction.requires_grad
    torch.testing.assert_close(model.state_dict(), before)


def test_a_module_that_does_not_return_outputs_is_refused() -> None:
    class Bare(nn.Module):
        def forward(self, inputs: dict[str, Tensor]) -> Tensor:
            return inputs["eeg"]

    with pytest.raises(DataError, match=r"Bare returned Tensor; a model returns Outputs"):
        dry_run(Bare(), COLUMNS)


def test_parameters_are_counted_without_frozen_ones() -> None:
    model = build("linear", COLUMNS, 2)
    assert count_parameters(model) == (10 + 3) * 2 + 2

    model.head.bias.requires_grad_(False)
    assert count_parameters(model) == (10 + 3) * 2


def test_multiply_adds_are_those_of_matrix_products_and_convolutions() -> None:
    assert count_multiply_adds(build("linear", COLUMNS, 2), COLUMNS) == 13 * 2
    assert count_multiply_adds(build("mlp", COLUMNS, 2, hidden=8), COLUMNS) == 13 * 8 + 8 * 4 + 4 * 2

    eda = {"eda": InputShape(1, 60, 4.0)}
    convolutions = 60 * 1 * 16 * 5 + 30 * 16 * 16 * 5 + 15 * 16 * 16 * 5
    assert count_multiply_adds(build("student_cnn", eda, 2), eda) == convolutions + 32 * 2


def test_a_shape_without_a_rate_is_a_row_of_features() -> None:
    assert InputShape(7).is_feature
    assert InputShape(7).zeros(2).shape == (2, 7)
    assert not InputShape(3, 50, 25.0).is_feature
    assert InputShape(3, 50, 25.0).zeros(2).shape == (2, 3, 50)


@every_model
def test_steps_are_predicted_by_those_that_say_so_and_refused_by_others(name: str, random_inputs: Draw) -> None:
    case = CASES[name]
    if not class_of(name).per_step:
        assert not case.n_steps
        with pytest.raises(LimbeckError, match="predicts once per window, not at 4 steps"):
            make(name, n_steps=4)
        return
    for n_outputs in (1, 3):
        outputs = make(name, n_outputs, n_steps=case.n_steps)(random_inputs(case.modalities, 2))
        assert outputs.prediction.shape == (2, case.n_steps, n_outputs)


@every_model
def test_the_same_seed_builds_the_same_network(name: str) -> None:
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(make(name).state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key
    drawn = any(not torch.equal(value, states[2][key]) for key, value in states[0].items())
    assert drawn or name == "linear", "only the linear model starts at zero"


@every_model
def test_a_model_survives_safetensors(name: str, tmp_path: Path, random_inputs: Draw) -> None:
    from safetensors.torch import load_file, save_file

    model = away_from_zero(make(name)).eval()
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, tmp_path / "state.safetensors")
    other = make(name).eval()
    other.load_state_dict(load_file(tmp_path / "state.safetensors"))
    inputs = random_inputs(CASES[name].modalities, 2)
    assert torch.equal(other(inputs).prediction, model(inputs).prediction)


@every_flag
def test_the_layer_table_holds_every_parameter_and_operation(name: str, flags: dict[str, bool]) -> None:
    model = make(name, **flags)
    table = layer_table(model, CASES[name].modalities)
    assert sum(row.parameters for row in table) == count_parameters(model)
    assert sum(row.multiply_adds for row in table) == count_multiply_adds(model, CASES[name].modalities)
    assert all(row.multiply_adds >= 0 for row in table)
    assert len({row.name for row in table}) == len(table)


@pytest.mark.parametrize("count", COUNTS, ids=lambda count: f"{count.model}-{count.parameters}")
def test_parameter_counts_are_those_published(count: Count) -> None:
    model = build(count.model, count.modalities, count.n_outputs, n_steps=count.n_steps, **count.options)
    assert count_parameters(model) == count.parameters


@every_model
def test_a_model_becomes_an_onnx_file_or_says_why_not(name: str, tmp_path: Path) -> None:
    case, model = CASES[name], away_from_zero(make(name))
    if class_of(name).unexportable:
        with pytest.raises(DataError, match="does not become an ONNX file"):
            to_onnx(model, case.modalities, tmp_path / "model.onnx")
        return
    assert to_onnx(model, case.modalities, tmp_path / "model.onnx") <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("count", COUNTS, ids=lambda count: f"{count.model}-{count.parameters}")
def test_the_published_width_runs(count: Count, random_inputs: Draw) -> None:
    model = build(count.model, count.modalities, count.n_outputs, n_steps=count.n_steps, **count.options).eval()
    inputs = random_inputs(count.modalities, 3)
    with torch.no_grad():
        together, alone = model(inputs), model({modality: x[:1] for modality, x in inputs.items()})
    steps = (count.n_steps,) if count.n_steps else ()
    assert together.prediction.shape == (3, *steps, count.n_outputs)
    assert torch.isfinite(together.prediction).all()
    torch.testing.assert_close(alone.prediction[0], together.prediction[0], rtol=1e-3, atol=1e-3)
