"""List the losses that a stage can name, and what stands beside them in a study; describe one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from limbeck.cli.describing import (
    Option,
    as_json,
    first_line,
    idea_of,
    indented,
    options_of,
    plain,
    print_entries,
    print_filled,
    print_heading,
    print_options,
    print_paragraphs,
)
from limbeck.cli.processes import one_thread
from limbeck.errors import did_you_mean

if TYPE_CHECKING:
    from limbeck.distillation import Loss
    from limbeck.registry import Registry

Stage = dict[str, Any]

GROUPS: Mapping[str, str] = {
    "labels": "the truth of labelled windows",
    "predictions": "what the teachers answer",
    "features": "what the teachers make of a window before they answer",
    "relations": "how windows lie to each other; features may differ in width",
    "partners": "networks that learn or answer beside it (partners), or parts of the network itself",
    "windows": "the windows themselves, before any label is seen",
}
"""What losses learn from, in the order of the list."""

TEACHER: Stage = {"model": "fusion_cnn", "inputs": ["eeg", "eda"]}
SECOND: Stage = {"model": "fusion_cnn", "inputs": ["ecg", "eda"]}
STUDENT: Stage = {"model": "student_cnn", "inputs": ["eda"]}
"""Networks with which a loss is shown, unless it suits others."""

FEATURES = {"student": "embedding", "teacher": "fused"}
"""Features of these."""

OTHER_NETWORKS: Mapping[str, Mapping[str, Stage]] = {
    "at": {"teacher": {"model": "tcn", "inputs": ["eeg", "eda"]}, "alone": {"model": "tcn", "inputs": ["eda"]}},
    "adapters": {"alone": {"model": {"name": "pkdot_teacher", "adapters": True}, "inputs": ["eda", "emg"]}},
    "self_distil": {"alone": {"model": {"name": "sdt", "answers": True}, "inputs": ["eeg", "eda"]}},
}
"""By loss the networks that suit it."""

OWN_OPTIONS: Mapping[str, Stage] = {
    "at": {"student": "sequence", "teacher": "sequence", "form": "channel"},
    "xkd": FEATURES,
    "match": FEATURES,
}
"""By loss what its example says beside the weight."""

PARTNERS: Mapping[str, Stage] = {
    "average": {"learns": "average"},
    "other": TEACHER,
    "other_average": {"learns": "average", "of": "other"},
    "peer": {},
    "teacher": {"stage": "teacher", "start": True},
}
"""By their usual names the partners that losses ask for."""

OWN_PARTNERS: Mapping[str, Mapping[str, Stage]] = {
    "joint_teacher": {"teacher": TEACHER},
    "stochastic": {"teacher": {"stage": "teacher", "start": True, "learns": "frozen", "dropout": True}},
}
"""By loss the partners that are unlike these."""

READ_LABELS = frozenset({"crd", "dkd", "gated", "mmpkd", "partner_hard"})
"""Losses that look at labels beside what they take, without an option ``hard`` that says so."""

PUBLISHED = re.compile(r"publish|released", re.IGNORECASE)
VALUE = re.compile(r"\(``([^`]+)``\)")
"""How the text of an option gives the value that brings a published fault back."""


class Beside(NamedTuple):
    """A kind of thing that stands beside losses in a study.

    Attributes
    ----------
    title : str
        In the list.
    place : str
        Where a study writes it, and what for.
    names : mapping of str to str
        One line for each.
    registry : Registry or None
        With docstrings and options; None where the line is all.
    takes : callable
        From a name to what it works on.
    """

    title: str
    place: str
    names: Mapping[str, str]
    registry: Registry | None
    takes: Callable[[str], str]


def losses(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Describe this one, or what stands beside losses.")
    ] = None,
    as_json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List or describe the losses that a stage can name.

    Behind them stand the ways to put teachers together, steps, changes of windows and maps between features. Named
    ways of teaching, which choose all of these, are listed by limbeck methods.
    """
    one_thread()
    from limbeck.distillation import LOSSES

    beside = beside_losses()
    if name is None:
        _print_list(beside, json=as_json_)
        return
    kinds = [kind for kind, among in beside.items() if name in among.names]
    if name not in LOSSES and not kinds:
        _refuse(name, [*LOSSES, *(one for among in beside.values() for one in among.names)])
    if as_json_:
        typer.echo(as_json(_facts(name) if name in LOSSES else _facts_beside(name, kinds[0], beside[kinds[0]])))
    elif name in LOSSES:
        _print_one(name)
    else:
        _print_beside(name, kinds[0], beside[kinds[0]])


def _refuse(name: str, known: list[str]) -> None:
    from limbeck.distillation.recipes import RECIPES

    if name in RECIPES:
        raise typer.BadParameter(f"'{name}' is a recipe, no loss: limbeck methods {name} describes it.")
    raise typer.BadParameter(f"there is no loss '{name}'.{did_you_mean(name, known)}")


# ---- what is known --------------------------------------------------------------------------------------------------


def made(name: str) -> Loss:
    """Return a loss with its defaults, not joined to a network."""
    from limbeck.distillation import LOSSES

    loss: Loss = LOSSES[name]()
    return loss


def group_of(name: str) -> str:
    """Return the key of `GROUPS` that a loss belongs to."""
    loss = made(name)
    if type(loss).__module__.endswith(".pretext"):
        return "windows"
    if loss.relational:
        return "relations"
    if loss.teacher_features:
        return "features"
    if loss.logits:
        return "predictions"
    return "partners" if loss.partner_sights or not loss.labels else "labels"


def takes(name: str) -> list[str]:
    """Return what a loss looks at: labels, logits, features, partners, changed windows."""
    from limbeck.distillation import LOSSES

    loss, options = made(name), LOSSES.options(name)
    found = {
        "labels": loss.labels or "hard" in options or name in READ_LABELS,
        "logits": loss.logits,
        "features": loss.student_features or loss.teacher_features or "feature" in options,
        "partner" if len(loss.partner_sights) == 1 else "partners": loss.partner_sights,
        "changed windows": any(sight != "plain" for sight in loss.sights),
    }
    return [what for what, is_taken in found.items() if is_taken]


def published(name: str) -> list[dict[str, str]]:
    """Return what the options of a loss say of published code, with the value that gives what was published."""
    from limbeck.distillation import LOSSES

    found = [{"option": "", "value": "", "text": text} for text in _sentences(idea_of(LOSSES.help(name)))]
    for option in options_of(LOSSES, name):
        told = _divided(option.text)[1]
        if told:
            value = VALUE.search(option.text)
            flag = value is None and option.name.startswith("as_")
            found.append(
                {
                    "option": option.name,
                    "value": value[1] if value else "true" if flag else "",
                    "text": re.sub(r" ([.,:;])", r"\1", VALUE.sub("", told)).strip(),
                }
            )
    return found


def _divided(text: str) -> tuple[str, str]:
    """Return what an option does, and what its text says of published code; this comes last."""
    said = PUBLISHED.search(text)
    place = text.rfind(". ", 0, said.start()) + 1 if said else len(text)
    return text[:place], text[place:]


def _sentences(text: str) -> Iterator[str]:
    """Yield the sentences of an idea that speak of published code."""
    for sentence in re.split(r"(?<=[.:])\s+(?=[A-Z`])", " ".join(text.split())):
        if re.search(r"(publish|released)\w* (code|network)|as published", sentence, re.IGNORECASE):
            yield sentence


def beside_losses() -> dict[str, Beside]:
    """Return what stands beside losses in a study, by what one of it is called."""
    from limbeck.augment import CHANGES, STRENGTHS
    from limbeck.distillation import COMBINATIONS, STEPS
    from limbeck.distillation.functional.maps import MAPS
    from limbeck.distillation.teachers import FOR_TRACES

    def lines(registry: Registry) -> dict[str, str]:
        return {name: first_line(registry, name) for name in registry}

    strengths = {
        "default": "What suits each sensor.",
        "weak": "A little noise and gain: for the view that a teacher labels.",
        "strong": "Much of what a sensor allows: for the view that learns.",
    }
    changes: Any = CHANGES
    maps = {"auto": "none where the shapes agree, else conv or linear"} | {name: MAPS[name].help for name in MAPS}
    return {
        "way to put teachers together": Beside(
            "teachers",
            "knowledge: {combine: NAME}, several teachers become one",
            lines(COMBINATIONS),
            COMBINATIONS,
            lambda name: "classes, traces" if name in FOR_TRACES else "classes",
        ),
        "kind of step": Beside(
            "steps",
            "steps: {NAME: {OPTION: VALUE}}, who learns from what, in which order",
            lines(STEPS),
            STEPS,
            lambda name: "partner" if STEPS.options(name) else "",
        ),
        "change of windows": Beside(
            "augment",
            "augment: {MODALITY: [NAME, {NAME: {OPTION: VALUE}}]}, random changes in training",
            lines(CHANGES),
            CHANGES,
            lambda name: str(changes[name].suits),
        ),
        "strength of changes": Beside(
            "strengths",
            "augment: NAME, changes that suit each sensor",
            {name: strengths.get(name, "Changes of each sensor.") for name in STRENGTHS},
            None,
            lambda name: "signals, features",
        ),
        "map between features": Beside(
            "maps",
            "map: NAME, in losses that have this option",
            {name: f"{text}." for name, text in maps.items()},
            None,
            lambda name: MAPS[name].map.takes if name in MAPS else "",
        ),
    }


def _facts(name: str) -> dict[str, Any]:
    """Return all that is known of a loss."""
    from limbeck.distillation import LOSSES

    loss = made(name)
    return {
        "name": name,
        "group": group_of(name),
        "about": first_line(LOSSES, name),
        "idea": idea_of(LOSSES.help(name)),
        "paper": loss.paper,
        "takes": takes(name),
        "targets": list(loss.kinds),
        "fewest": loss.fewest,
        "options": LOSSES.options(name),
        "published": published(name),
        "example": example_of(name),
    }


def _facts_beside(name: str, kind: str, among: Beside) -> dict[str, Any]:
    registry = among.registry
    return {
        "name": name,
        "kind": kind,
        "about": among.names[name],
        "idea": among.names[name] if registry is None else idea_of(registry.help(name)),
        "takes": among.takes(name),
        "written": among.place,
        "options": {} if registry is None else registry.options(name),
    }


def example_of(name: str) -> dict[str, Stage]:
    """Return the stages of a study that names a loss."""
    loss = made(name)
    stages: dict[str, Stage] = {}
    partners = {one: _partner(name, one) for one in loss.partner_sights}
    taught = bool(loss.logits or loss.teacher_features)
    networks = OTHER_NETWORKS.get(name, {})
    if taught or any(partner.get("stage") == "teacher" for partner in partners.values()):
        stages["teacher"] = dict(networks.get("teacher", TEACHER))
    if name == "gated":
        stages["second"] = dict(SECOND)
    stages["alone"] = dict(networks.get("alone", STUDENT))
    options: Stage = {"weight": loss.weight, **({} if name == "at" else _features(name)), **OWN_OPTIONS.get(name, {})}
    own = loss.weight if list(options) == ["weight"] else options
    arm: Stage = {"like": "alone"}
    if taught:
        arm["taught_by"] = ["teacher", "second"] if name == "gated" else "teacher"
    arm["loss"] = {name: own} if name in ("hard", "mmpkd") or group_of(name) == "windows" else {"hard": 1.0, name: own}
    if partners:
        arm["partners"] = partners
    if group_of(name) != "windows":
        return {**stages, "taught": arm}
    return {**stages, "pretext": arm, "taught": {"like": "alone", "start": {"stage": "pretext", "reset": ["head"]}}}


def _partner(loss: str, name: str) -> Stage:
    return dict(OWN_PARTNERS.get(loss, {}).get(name, PARTNERS[name]))


def _features(name: str) -> Stage:
    """Return the features that the example of a loss compares."""
    from limbeck.distillation import LOSSES

    return dict(FEATURES) if {"student", "teacher"} <= set(LOSSES.options(name)) else {}


# ---- what is printed ------------------------------------------------------------------------------------------------


def _print_list(beside: Mapping[str, Beside], *, json: bool) -> None:
    from limbeck.distillation import LOSSES

    if json:
        whole: dict[str, Any] = {"losses": [_facts(name) for name in LOSSES]}
        for kind, among in beside.items():
            whole[among.title] = [_facts_beside(name, kind, among) for name in among.names]
        typer.echo(as_json(whole))
        return
    groups: dict[str, tuple[str, list[tuple[str, ...]]]] = {group: (about, []) for group, about in GROUPS.items()}
    for name in LOSSES:
        kinds = made(name).kinds
        target = "both" if len(kinds) == 2 else kinds[0]
        groups[group_of(name)][1].append((name, target, ", ".join(takes(name)), first_line(LOSSES, name)))
    groups |= {
        among.title: (
            f"beside losses, {among.place}",
            [(name, "", among.takes(name), about) for name, about in among.names.items()],
        )
        for among in beside.values()
    }
    print_entries(("loss", "target", "takes", "what it is"), groups, most={"takes": 22})
    typer.echo()
    print_filled(
        "limbeck losses NAME: its options, what was published, how a study writes it; also of what stands "
        "beside losses. limbeck methods: ways of teaching that choose losses for you."
    )


def _print_one(name: str) -> None:
    from limbeck.distillation import LOSSES
    from limbeck.distillation.recipes import RECIPES
    from limbeck.notation import write_yaml

    facts, options = _facts(name), options_of(LOSSES, name)
    print_heading(name, facts["idea"])
    typer.echo()
    fewest = facts["fewest"]
    print_paragraphs(
        {
            "paper": facts["paper"],
            "takes": ", ".join(facts["takes"]),
            "features": _feature_names(name, options),
            "maps": _maps() if "map" in facts["options"] else "",
            "target": " or ".join(facts["targets"]),
            "batch": f"at least {fewest} windows, which it compares with each other" if fewest > 1 else "",
            "as recipe": f"limbeck methods {name}" if name in RECIPES else "",
        }
    )
    told = [one for one in facts["published"] if one["option"]]  # the idea has been printed
    if told:
        typer.echo("\nWhat was published, and how to have it")
        for one in told:
            option = f"{one['option']}: {one['value']}".strip(": ")
            print_filled(plain(f"{option} – {one['text']}"), "  - ", "    ")
    options = [
        option._replace(text=_divided(option.text)[0] or "As published, which is told above.") for option in options
    ]
    typer.echo(f"\nWritten in a study\n\n{indented(write_yaml({'stages': facts['example']}))}")
    print_options(options, f"in the stage's loss: {{{name}: {{OPTION: VALUE}}}}")


def _feature_names(name: str, options: list[Option]) -> str:
    """Return which options name features, and where features are listed."""
    named = [option.name for option in options if option.name in ("student", "teacher", "feature")]
    if not named:
        return ""
    return f"named by {' and '.join(named)}; those of a model are told of by limbeck models MODEL"


def _maps() -> str:
    names = beside_losses()["map between features"].names
    return "\n".join(f"{name}: {text}" for name, text in names.items())


def _print_beside(name: str, kind: str, among: Beside) -> None:
    registry = among.registry
    print_heading(name, among.names[name] if registry is None else idea_of(registry.help(name)))
    typer.echo()
    print_paragraphs({"is a": kind, "takes": among.takes(name), "written": among.place})
    if among.title == "strengths":
        _print_strength(name)
    if registry is not None:
        print_options(options_of(registry, name), among.place.partition(", ")[0])


def _print_strength(name: str) -> None:
    """Print the changes of each sensor, which could have been written out."""
    from limbeck.augment import STRENGTHS
    from limbeck.augment.defaults import FEATURE_DEFAULTS
    from limbeck.cli.describing import as_written

    typer.echo("\nSignals")
    print_paragraphs({modality: as_written(changes) for modality, changes in STRENGTHS[name].items()})
    typer.echo("\nFeatures")
    print_paragraphs({"all": as_written(FEATURE_DEFAULTS[name])})
