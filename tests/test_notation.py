"""YAML as Limbeck reads it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml

from limbeck.notation import read_yaml, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1e9", 1e9),
        ("-2.5E+2", -250.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("0", 0),
        ("-12", -12),
        ("010", "010"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("0x1f", "0x1f"),
        ("2026-01-31", "2026-01-31"),
        ("64e284ca", "64e284ca"),
        ("true", True),
        ("[S01, 7, 007]", ["S01", 7, "007"]),
    ],
)
def test_numbers_are_numbers_and_names_are_names(text: str, value: Any) -> None:
    read = read_yaml(text)
    assert read == value
    assert type(read) is type(value)


def test_what_is_written_is_read_again() -> None:
    values = {"a": "010", "b": 1e-05, "c": ["12:30", 3, None], "d": "2026-01-31", "e": math.inf, "f": "1e3"}
    assert read_yaml(write_yaml(values)) == values
    assert yaml.safe_load(write_yaml(values)) == values, "other readers agree"


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(yaml.YAMLError, match="the key 'a' stands there twice"):
        read_yaml("a: 1\nb: 2\na: 3")
    assert read_yaml("x: &x {a: 1}\ny:\n  <<: *x\n  b: 2")["y"] == {"a": 1, "b": 2}


def test_objects_are_not_made() -> None:
    with pytest.raises(yaml.YAMLError):
        read_yaml("!!python/object/apply:os.getcwd []")


@pytest.mark.parametrize("name", ["on", "off", "yes", "no", "Yes", "NO", "y"])
def test_only_true_and_false_are_truth_values(name: str) -> None:
    assert read_yaml(f"{{{name}: {name}}}") == {name: name}
    assert read_yaml("[true, False]") == [True, False]
    assert read_yaml(write_yaml({name: [name, True]})) == {name: [name, True]}
