"""The networks that work on fear levels compared."""

from __future__ import annotations

import pytest
import torch
from cases.fear_zoo import COUNTS, EIGHT
from torch import nn

from limbeck.errors import LimbeckError
from limbeck.models import MODELS, InputShape, build
from limbeck.models.contract import class_of

PRINTED_WITH_OPTIMISER = {
    374_704: 1_124_114,
    274_804: 824_414,
    284_404: 853_214,
    194_104: 582_314,  # printed as 382,314
    148_996: 446_990,
    291_780: 875_342,
    50_052: 150_158,
    29_636: 88_910,
    271_364: 814_094,
}


def test_sizes_printed_with_the_state_of_the_optimiser_are_three_times_the_parameters_and_two() -> None:
    counted = {count.parameters for count in COUNTS}
    for parameters, printed in PRINTED_WITH_OPTIMISER.items():
        assert parameters in counted
        assert 3 * parameters + 2 == printed


def test_the_perceptrons_are_what_their_tables_say() -> None:
    shapes = {"eeg": InputShape(3), "eda": InputShape(2)}
    row = torch.randn(4, 5)
    for name, options in (("zoo_ann", {"hidden": (6, 6)}), ("zoo_dnn", {"width": 6, "depth": 2})):
        torch.manual_seed(0)
        model = build(name, shapes, 4, **options)
        first, second = model.dense.layers
        expected = model.head(torch.relu(second(torch.relu(first(row)))))
        torch.testing.assert_close(model({"eeg": row[:, :3], "eda": row[:, 3:]}).prediction, expected)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_convolutions_are_what_their_table_says(padding: str) -> None:
    model = build("zoo_cnn", EIGHT, 4, width=(5, 6), pools=1, padding=padding, hidden=7)
    row = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    x = row[:, None]
    for conv, pool in zip(model.convs, (2, 1), strict=True):
        around = 1 if padding == "same" else 0
        windows = nn.functional.pad(x, (around, around)).unfold(2, 3, 1)
        x = torch.relu(torch.einsum("bclk,fck->bfl", windows, conv.weight) + conv.bias[:, None])
        x = x[..., : x.shape[-1] // pool * pool].unflatten(-1, (-1, pool)).amax(dim=-1)
    expected = model.head(torch.relu(model.dense.layers[0](x.flatten(1))))

    torch.testing.assert_close(model({"body": row}).prediction, expected, rtol=1e-5, atol=1e-5)
    assert x.shape[-1] == {"same": 4, "valid": 1}[padding]


def test_the_recurrent_ones_read_the_channels_in_their_order() -> None:
    for name in ("zoo_lstm", "zoo_cnn_lstm"):
        torch.manual_seed(0)
        model = build(name, EIGHT, 4).eval()
        row = torch.randn(2, 8)
        assert not torch.allclose(model({"body": row}).prediction, model({"body": row.flip(1)}).prediction)

        sequence = row.unsqueeze(-1)
        if name == "zoo_cnn_lstm":
            sequence = torch.relu(model.conv(row.unsqueeze(1))).transpose(1, 2)
        _, (state, _) = model.recurrent(sequence)
        torch.testing.assert_close(model({"body": row}).features["state"], state[0])


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("zoo_dnn", {"depth": 0}, "depth is 0; expected at least 1"),
        ("zoo_cnn", {"padding": "full"}, "padding is 'full'; expected one of same, valid"),
        ("zoo_cnn", {"pools": 3}, "pools is 3; expected 0 to 2"),
        (
            "zoo_cnn",
            {"width": (4, 4, 4, 4), "pools": 4},
            "Convolution 4 of zoo_cnn has nothing to return for 8 features",
        ),
        ("zoo_cnn", {"padding": "valid", "kernel": 9}, "Convolution 1 of zoo_cnn has nothing"),
        ("zoo_cnn", {"width": ()}, "width is empty"),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(LimbeckError, match=said):
        build(name, EIGHT, 4, **options)


def test_the_examples_are_the_published_numbers_of_channels() -> None:
    counts = {
        name: sum(shape.channels for shape in class_of(name).example.values()) for name in MODELS if "zoo" in name
    }
    assert counts == {"zoo_ann": 40, "zoo_cnn": 8, "zoo_cnn_lstm": 40, "zoo_dnn": 40, "zoo_lstm": 40}


def test_a_single_channel_is_enough_where_nothing_is_pooled() -> None:
    one = {"eda": InputShape(1)}
    for name in ("zoo_ann", "zoo_dnn", "zoo_lstm", "zoo_cnn_lstm"):
        assert build(name, one, 4)({"eda": torch.ones(2, 1)}).prediction.shape == (2, 4)
    assert build("zoo_cnn", one, 4, pools=0)({"eda": torch.ones(2, 1)}).prediction.shape == (2, 4)
