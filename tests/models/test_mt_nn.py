"""The multi-task network."""

from __future__ import annotations

import pytest
import torch

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build

COLUMNS = {"eda": InputShape(4), "ecg": InputShape(2)}


def test_the_prediction_is_the_mean_of_the_heads() -> None:
    torch.manual_seed(0)
    model = build("mt_nn", COLUMNS, 2, n_heads=3).eval()
    eda, ecg = torch.randn(5, 4), torch.randn(5, 2)
    state = model.state_dict()

    found = model({"eda": eda, "ecg": ecg})

    trunk = (torch.cat([eda, ecg], 1) @ state["trunk.weight"].T + state["trunk.bias"]).clamp(min=0)
    heads = [
        trunk @ state["heads.weight"][2 * i : 2 * i + 2].T + state["heads.bias"][2 * i : 2 * i + 2] for i in range(3)
    ]
    torch.testing.assert_close(found.prediction, sum(heads) / 3, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.features["trunk"], trunk, rtol=1e-5, atol=1e-5)


def test_dropout_lies_behind_the_trunk() -> None:
    model = build("mt_nn", COLUMNS, 2).train()
    model.dropout.mask = torch.zeros(3, 25)

    outputs = model({"eda": torch.randn(3, 4), "ecg": torch.randn(3, 2)})

    assert torch.equal(outputs.prediction, model.heads.bias.expand(3, 2))
    assert outputs.features["trunk"].any()


def test_no_head_is_refused() -> None:
    with pytest.raises(LimbeckError, match="n_heads is 0; expected at least 1"):
        build("mt_nn", COLUMNS, 2, n_heads=0)
