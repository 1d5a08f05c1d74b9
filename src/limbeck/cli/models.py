"""List models with what they cost, and print the layers of one for given shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limbeck.cli.printing import check_name, print_entry, print_facts, print_table
from limbeck.cli.processes import one_thread
from limbeck.notation import read_yaml

if TYPE_CHECKING:
    from limbeck.models import InputShape

_SIGNAL = re.compile(r"(\w+)=(\d+)x(\d+)@(\d+(?:\.\d+)?)")
_FEATURES = re.compile(r"(\w+)=(\d+)")


def models(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Describe this one, layer by layer.")] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="SHAPE",
            help="What it reads: eda=1x240@4 (channels, samples, Hz) or eda=12 (features); may be repeated. "
            "[default: as published]",
        ),
    ] = None,
    outputs: Annotated[int, typer.Option("--outputs", min=1, help="Classes; 1 for a trace.")] = 2,
    steps: Annotated[int, typer.Option("--steps", min=0, help="Steps within the window at which it predicts.")] = 0,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="An option of the model; may be repeated."),
    ] = None,
) -> None:
    """List the models, or describe one with its options and layers."""
    one_thread()
    from limbeck.models import MODELS

    if name is None:
        print_table(("model", "reads", "parameters", "multiply-adds", "what it is"), [_row(model) for model in MODELS])
        typer.echo(
            "parameters, and multiply-adds of one window: default options, 2 classes, "
            "shapes of the paper (ours: 60 s of EDA)"
        )
        return
    check_name(name, MODELS)
    print_entry(name, MODELS, "model")
    shapes = _shapes(inputs or ()) or _example(name)
    _print_layers(name, shapes, outputs, steps, _options(options or ()))


def _example(name: str) -> dict[str, InputShape]:
    """Return the shapes that a model was published with, or small ones."""
    from limbeck.models import InputShape
    from limbeck.models.contract import class_of

    model = class_of(name)
    return dict(model.example) or {"eda": InputShape(12) if model.reads == "features" else InputShape(1, 240, 4.0)}


def _row(name: str) -> tuple[str, ...]:
    from limbeck.models import MODELS, build, count_multiply_adds, count_parameters
    from limbeck.models.contract import class_of

    shapes, about = _example(name), MODELS.help(name).partition("\n")[0]
    if class_of(name).family != "network":
        return name, "any features", "", "", about
    reads = ", ".join(shapes) if class_of(name).paper else f"any {class_of(name).reads}"
    model = build(name, shapes, 2)
    return name, reads, f"{count_parameters(model):,}", _short(count_multiply_adds(model, shapes)), about


def _short(count: float) -> str:
    """Return ``61 k``, ``3.8 M``, ``291 G``."""
    for unit, whole in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= whole:
            return f"{count / whole:.3g} {unit}"
    return f"{count:g}"


def _shapes(texts: Sequence[str]) -> dict[str, InputShape]:
    from limbeck.models import InputShape

    shapes = {}
    for text in texts:
        if signal := _SIGNAL.fullmatch(text.strip()):
            shapes[signal[1]] = InputShape(int(signal[2]), int(signal[3]), float(signal[4]))
        elif features := _FEATURES.fullmatch(text.strip()):
            shapes[features[1]] = InputShape(int(features[2]))
        else:
            raise typer.BadParameter(
                f"found '{text}'; expected a signal such as eda=1x240@4 (channels, samples, Hz) or features such as "
                "eda=12.",
                param_hint="--input",
            )
    return shapes


def _options(texts: Sequence[str]) -> dict[str, Any]:
    options = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign:
            raise typer.BadParameter(f"found '{text}'; expected KEY=VALUE.", param_hint="--option")
        options[key.strip()] = read_yaml(value)
    return options


def _print_layers(
    name: str, shapes: Mapping[str, InputShape], outputs: int, steps: int, options: Mapping[str, Any]
) -> None:
    from limbeck.models import build, count_multiply_adds, count_parameters, layer_table
    from limbeck.models.contract import class_of

    model = build(name, shapes, outputs, n_steps=steps, **options)
    facts = {"paper": class_of(name).paper or "our own"}
    facts["reads"] = "\n".join(f"{modality}: {_shape_in_words(shape)}" for modality, shape in shapes.items())
    if class_of(name).family == "network":
        facts["parameters"] = f"{count_parameters(model):,} ({count_parameters(model) * 4 / 1e3:,.1f} kB as float32)"
        facts["multiply-adds"] = f"{count_multiply_adds(model, shapes):,} for one window"
        facts |= {key: text for key, text in _limits(model).items() if text}
    typer.echo()
    print_facts(facts)
    if class_of(name).family != "network":
        return
    typer.echo()
    rows = [
        (
            row.name or "(itself)",
            row.kind,
            "×".join(map(str, row.shape)),
            f"{row.parameters:,}",
            _short(row.multiply_adds),
        )
        for row in layer_table(model, shapes)
        if row.parameters or row.multiply_adds or row.kind.endswith(("Pool1d", "Pool2d"))
    ]
    print_table(("layer", "kind", "output", "parameters", "multiply-adds"), rows)


def _limits(model: Any) -> dict[str, str]:
    """Return what keeps a network from being stacked or exported, and which of its parameters never learn."""
    return {
        "not stacked": model.looped,
        "not exported": model.unexportable,
        "no gradient": "\n".join(f"{pattern}: {reason}" for pattern, reason in model.idle.items()),
    }


def _shape_in_words(shape: InputShape) -> str:
    if shape.is_feature:
        return f"{shape.channels} features"
    return f"{shape.channels} × {shape.length} samples at {shape.rate:g} Hz"
