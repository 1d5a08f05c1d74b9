"""What every registered model promises, tried on every registered model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck.distillation import Batch, Criterion, Student
from limbeck.errors import DataError, LimbeckError
from limbeck.models import MODELS, InputShape, Outputs, build, count_multiply_adds, count_parameters, dry_run
from limbeck.protocols import Fold
from limbeck.training import Ensemble, Member

Draw = Callable[..., dict[str, Tensor]]


@dataclass(frozen=True)
class Case:
    """A view that a model reads, and the features that it then names with their widths."""

    modalities: dict[str, InputShape]
    features: dict[str, int]


WRISTBAND = {
    "eda": InputShape(1, 60, 4.0),
    "bvp": InputShape(1, 400, 64.0),
    "acc": InputShape(3, 200, 16.0),
}
COLUMNS = {"eeg": InputShape(10), "ecg": InputShape(3)}

CASES = {
    "fusion_cnn": Case(WRISTBAND, {"fused": 32, "eda": 48, "bvp": 48, "acc": 48}),
    "linear": Case(COLUMNS, {}),
    "mlp": Case(COLUMNS, {"hidden": 16}),
    "student_cnn": Case({"eda": InputShape(1, 60, 4.0)}, {"embedding": 32}),
}
"""One per registered model; a model that is added needs its case here."""

every_model = pytest.mark.parametrize("name", sorted(CASES))
every_target = pytest.mark.parametrize("n_outputs", [3, 1], ids=["classes", "trace"])


def away_from_zero(model: nn.Module) -> nn.Module:
    """Give every weight a random value, so that models which start at zero are tried as well."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def test_every_registered_model_has_a_case() -> None:
    assert set(CASES) == set(MODELS)


@every_model
@every_target
@pytest.mark.parametrize("batch", [1, 3])
def test_outputs_have_the_promised_shapes(name: str, n_outputs: int, batch: int, random_inputs: Draw) -> None:
    case = CASES[name]
    model = build(name, case.modalities, n_outputs)

    for training in (True, False):
        outputs = model.train(training)(random_inputs(case.modalities, batch))

        assert isinstance(outputs, Outputs)
        assert outputs.prediction.shape == (batch, n_outputs)
        assert outputs.prediction.dtype == torch.float32
        assert {feature: tuple(value.shape) for feature, value in outputs.features.items()} == {
            feature: (batch, width) for feature, width in case.features.items()
        }


@every_model
@every_target
def test_gradients_reach_every_parameter(name: str, n_outputs: int, random_inputs: Draw) -> None:
    model = away_from_zero(build(name, CASES[name].modalities, n_outputs))
    outputs = model(random_inputs(CASES[name].modalities, 4))

    (outputs.prediction * torch.randn(4, n_outputs, generator=torch.Generator().manual_seed(2))).sum().backward()

    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


@every_model
def test_in_evaluation_a_window_does_not_depend_on_its_batch(name: str, random_inputs: Draw) -> None:
    model = away_from_zero(build(name, CASES[name].modalities, 2)).eval()
    inputs = random_inputs(CASES[name].modalities, 5)
    strangers = random_inputs(CASES[name].modalities, 5, seed=9)
    mixed = {m: torch.cat([100.0 * strangers[m][:2], inputs[m][3:4], strangers[m][2:]]) for m in inputs}

    alone, among_others = model({m: x[3:4] for m, x in inputs.items()}), model(mixed)

    torch.testing.assert_close(alone.prediction[0], among_others.prediction[2], rtol=1e-5, atol=1e-5)
    for feature in alone.features:
        torch.testing.assert_close(alone.features[feature][0], among_others.features[feature][2], rtol=1e-5, atol=1e-5)


@every_model
def test_a_model_keeps_its_outputs_through_its_state(name: str, random_inputs: Draw) -> None:
    model = away_from_zero(build(name, CASES[name].modalities, 2)).eval()
    other = build(name, CASES[name].modalities, 2).eval()
    inputs = random_inputs(CASES[name].modalities, 3)
    before = other(inputs).prediction

    other.load_state_dict(copy.deepcopy(model.state_dict()))

    assert not torch.equal(before, model(inputs).prediction)
    assert torch.equal(other(inputs).prediction, model(inputs).prediction)


@every_model
def test_a_model_draws_no_random_numbers_of_its_own(name: str, random_inputs: Draw) -> None:
    model = build(name, CASES[name].modalities, 2).train()
    inputs = random_inputs(CASES[name].modalities, 3)
    state = torch.random.get_rng_state()

    first, second = model(inputs).prediction, model(inputs).prediction

    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(first, second)


@every_model
@every_target
def test_both_backends_agree_on_outputs_and_gradients(name: str, n_outputs: int, random_inputs: Draw) -> None:
    modalities = CASES[name].modalities
    empty = np.empty(0, dtype=np.int64)
    members = [Member(Fold(0, f, np.arange(6), empty, empty, empty, (), (), (), ()), seed=7) for f in range(3)]
    drawn = [random_inputs(modalities, 6, seed=f) for f in range(3)]
    inputs = {m: torch.stack([one[m] for one in drawn]) for m in modalities}
    kind = "class" if n_outputs > 1 else "trace"
    target = torch.arange(18).reshape(3, 6) % n_outputs if kind == "class" else torch.linspace(-2, 2, 18).reshape(3, 6)
    batch = Batch(inputs, target, torch.ones(3, 6), torch.ones(3, n_outputs), torch.empty(3, 6, 0), {})
    criterion = Criterion({"hard": {}}, kind=kind)
    found = {}
    for backend in ("stacked", "looped"):
        ensemble = Ensemble(lambda: Student(build(name, modalities, n_outputs)), members, backend=backend)
        gradient, loss, _ = ensemble.gradients(criterion, batch, step=4)
        outputs = ensemble.outputs(inputs)
        found[backend] = (gradient, loss, outputs.prediction, outputs.features)

    assert found["stacked"][0].abs().max() > 1e-3
    assert set(found["stacked"][3]) == set(CASES[name].features)
    torch.testing.assert_close(found["stacked"], found["looped"], rtol=1e-5, atol=1e-5)


@every_model
def test_options_are_those_of_the_constructor_and_unknown_ones_are_refused(name: str) -> None:
    options = MODELS.options(name)

    build(name, CASES[name].modalities, 2, **options)
    with pytest.raises(LimbeckError, match=f"The model '{name}' has no option 'wdth'"):
        build(name, CASES[name].modalities, 2, wdth=4)


@every_model
def test_help_describes_the_model_in_its_first_line(name: str) -> None:
    assert 20 < len(MODELS.help(name).splitlines()[0]) < 121


@every_model
def test_the_wrong_kind_of_input_is_refused_with_what_to_do(name: str) -> None:
    reads_features = MODELS[name].reads == "features"
    wrong = {"temp": InputShape(1, 60, 4.0)} if reads_features else {"temp": InputShape(5)}
    advice = "add a features step" if reads_features else "remove the features step"

    with pytest.raises(LimbeckError, match=rf"reads (features|signals)(.|\n)*temp(.|\n)*{advice}"):
        build(name, wrong, 2)


@every_model
def test_an_empty_view_is_refused(name: str) -> None:
    with pytest.raises(LimbeckError, match="at least one modality"):
        build(name, {}, 2)


def test_a_misspelt_option_or_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(LimbeckError, match="Did you mean 'width'"):
        build("student_cnn", CASES["student_cnn"].modalities, 2, widht=4)
    with pytest.raises(LimbeckError, match="Did you mean 'student_cnn'"):
        build("studentcnn", CASES["student_cnn"].modalities, 2)


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
