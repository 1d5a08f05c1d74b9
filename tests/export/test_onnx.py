"""Networks as ONNX files: they compute the same, or are not written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from limbeck.errors import DataError
from limbeck.export import onnx as module
from limbeck.export import to_onnx
from limbeck.models import InputShape, Network, Outputs, build

SHAPES = {"eda": InputShape(1, 60, 4.0), "bvp": InputShape(1, 400, 64.0)}


def test_the_file_has_an_input_per_modality_and_takes_any_number_of_windows(tmp_path: Path) -> None:
    import numpy as np
    import onnxruntime

    network = build("fusion_cnn", SHAPES, 3).train()
    assert to_onnx(network, SHAPES, tmp_path / "deep" / "student.onnx") < 1e-5
    assert network.training, "left as it was"
    session = onnxruntime.InferenceSession(tmp_path / "deep" / "student.onnx", providers=["CPUExecutionProvider"])
    assert {node.name for node in session.get_inputs()} == {"eda", "bvp"}
    for batch in (1, 7):
        windows = {name: np.ones((batch, shape.channels, shape.length), np.float32) for name, shape in SHAPES.items()}
        (prediction,) = session.run(["prediction"], windows)
        assert prediction.shape == (batch, 3)


def test_a_file_that_would_compute_something_else_is_not_written_and_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "student.onnx"
    file.write_bytes(b"another")
    monkeypatch.setattr(module, "_difference", lambda *_: 0.25)
    with pytest.raises(DataError, match=r"of FusionCNN would compute something else: .* differ by 2\.5e-01"):
        to_onnx(build("fusion_cnn", SHAPES, 2), SHAPES, file)
    assert file.read_bytes() == b"another"
    assert [path.name for path in tmp_path.iterdir()] == ["student.onnx"]


def test_a_difference_is_seen(tmp_path: Path) -> None:
    first, second = (build("linear", {"eda": InputShape(4)}, 2) for _ in range(2))
    to_onnx(first, {"eda": InputShape(4)}, tmp_path / "a.onnx")
    with torch.no_grad():
        second.head.bias += 0.5
    assert module._difference(second, {"eda": InputShape(4)}, tmp_path / "a.onnx") == pytest.approx(0.5)


def test_a_network_that_says_that_it_cannot_is_refused_with_its_reason(tmp_path: Path) -> None:
    class Bank(Network):
        unexportable = "it asks a memory bank"

        def forward(self, inputs: dict[str, Tensor]) -> Outputs:
            return Outputs(inputs["eda"], {})

    with pytest.raises(DataError, match="Bank does not become an ONNX file: it asks a memory bank"):
        to_onnx(Bank(), {"eda": InputShape(4)}, tmp_path / "a.onnx")


def test_missing_packages_are_named_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(
        DataError, match=r"needs the package onnxscript; install it with: pip install 'limbeck\[export\]'"
    ):
        to_onnx(nn.Identity(), {"eda": InputShape(4)}, tmp_path / "a.onnx")
