"""``distil`` in a study: named recipes become the stages and comparisons that a user could have written.

The stages of a recipe stand above those of the user, so that these may be ``like`` them, and so do its comparisons.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from limbeck.distillation.controls import CREDIT, DIAGNOSTICS
from limbeck.distillation.recipes import RECIPES, Party, Recipe, Site
from limbeck.distillation.recipes.contract import reads_many
from limbeck.errors import LimbeckError, StudyError, did_you_mean
from limbeck.models.contract import MODELS
from limbeck.study.keys import exact, set_key
from limbeck.targets import written_out

__all__ = ["expand_recipes", "expanded", "recipe_of", "recipes_of", "with_recipes"]

KEYS = ("teacher", "student", "controls", "diagnostics", "crossfit", "knowledge", "unlabelled")
"""What stands under ``distil`` beside recipes and their options."""

ARM = ("crossfit", "knowledge", "unlabelled")
"""Keys that are handed on to the arms."""

NETWORK = ("model", "inputs", "training", "augment", "labelled", "without")
"""What a student is: the recipe says the rest."""

TEACHER = (*NETWORK, "loss", "start", "unlabelled")
"""What a teacher is."""


def expand_recipes(definition: dict[str, Any]) -> list[str]:
    """Replace ``distil`` in a study by stages and comparisons; return what is wrong with it.

    Parameters
    ----------
    definition : dict
        A study with one target, changed in place.

    Returns
    -------
    list of str
        Every mistake, with its key; the study is then as it was, but for ``distil``.
    """
    if "distil" not in definition:
        return []
    given = definition.pop("distil")
    if not isinstance(given, Mapping):
        return [f"distil: expected a mapping of keys, found {given!r}."]
    stages = definition.get("stages")
    compare = definition.get("compare")
    written = stages if isinstance(stages, Mapping) else {}
    kind = _kind_of(definition.get("target"))
    protocol = definition.get("protocol")
    labelled = protocol.get("labelled", "all") if isinstance(protocol, Mapping) else "all"
    expansion = _Expansion(given, written, kind, labelled)
    expansion.expand()
    if not expansion.mistakes and isinstance(definition.get("choose"), Mapping):
        _expand_choices(definition, given, expansion)
    if not expansion.mistakes:
        made = _unshared(expansion.stages)
        definition["stages"] = {**made, **written} if isinstance(stages, Mapping | None) else stages
        definition["compare"] = [*expansion.compare, *compare] if isinstance(compare, list) else expansion.compare
    return expansion.mistakes


def _expand_choices(definition: dict[str, Any], given: Mapping[str, Any], expansion: _Expansion) -> None:
    """Replace options of recipes under ``choose`` by the key of a stage that each of them is; add what is none."""
    found: dict[str, Any] = {}
    for key, values in definition["choose"].items():
        if not str(key).startswith("distil.") or not isinstance(values, list):
            found[key] = values
            continue
        leaves: list[dict[str, Any]] = []
        for value in values:
            one = copy.deepcopy(dict(given))
            wrong = set_key(one, str(key).removeprefix("distil."), copy.deepcopy(value), prefix="choose.distil.")
            other = _Expansion(one, expansion.written, expansion.kind, expansion.labelled)
            other.expand()
            told = wrong or [f"choose.{key}: {mistake}" for mistake in other.mistakes]
            expansion.mistakes += [mistake for mistake in told if mistake not in expansion.mistakes]
            whole: dict[str, Any] = {}
            for name, stage in other.stages.items():
                whole[name] = {**whole.get(stage.get("like"), {}), **stage}
            leaves.append(_leaves(whole, "stages"))
        if expansion.mistakes:
            continue
        every = dict.fromkeys(name for own in leaves for name in own)
        changed = [name for name in every if len({exact(own.get(name)) for own in leaves}) > 1]
        # An option that is handed on as it is; where it is the default it is not written.
        if len(changed) == 1 and all(
            own[changed[0]] == value for own, value in zip(leaves, values, strict=True) if changed[0] in own
        ):
            found[changed[0]] = values
        else:
            expansion.mistakes.append(
                f"choose.{key}: what is chosen is one key of a stage, and this option changes "
                f"{', '.join(changed) or 'none'}; name keys as these, choose: {{stages.NAME.KEY: [...]}}, or make a "
                f"study of each value, sweep: {{{key}: [...]}}."
            )
    definition["choose"] = found


def _leaves(value: Any, key: str) -> dict[str, Any]:
    """Return what stands in nested mappings, by keys such as ``stages.taught.loss.soft.weight``."""
    if not isinstance(value, Mapping) or not value:
        return {key: value}
    return {leaf: own for name, one in value.items() for leaf, own in _leaves(one, f"{key}.{name}").items()}


def _unshared(value: Any) -> Any:
    """Return a copy in which nothing stands twice: what one stage says can be changed without the others."""
    if isinstance(value, Mapping):
        return {name: _unshared(one) for name, one in value.items()}
    return [_unshared(one) for one in value] if isinstance(value, list | tuple) else copy.deepcopy(value)


def recipes_of(definition: Mapping[str, Any]) -> dict[str, str]:
    """Return by arm the recipe that a study names for it.

    Parameters
    ----------
    definition : mapping
        A study that was found right; what it sweeps counts, too.
    """
    sweep = definition.get("sweep") or {}
    listed: list[Any] = []
    for given in (definition.get("distil") or {}, *(sweep.get("distil") or [])):
        listed += [given["recipe"]] if "recipe" in given else given.get("recipes") or []
    listed += sweep.get("distil.recipe") or []
    listed += [one for several in sweep.get("distil.recipes") or [] for one in several]
    found = {}
    for one in listed:
        ((name, options),) = one.items() if isinstance(one, Mapping) else ((one, None),)
        found[str(name)] = str((options or {}).get("recipe", name))
    return found


def recipe_of(stage: str, recipes: Mapping[str, str]) -> str:
    """Return the recipe whose arm a stage is, or leads to, of those by arm; empty for others."""
    own = [arm for arm in recipes if stage == arm or stage.startswith(f"{arm}_")]
    return recipes[max(own, key=len)] if own and "/" not in stage else ""


def with_recipes(mistakes: Iterable[str], definition: Mapping[str, Any]) -> list[str]:
    """Say of mistakes in stages that a recipe made, which nobody wrote, that it did.

    Parameters
    ----------
    mistakes : iterable of str
        Sentences behind keys.
    definition : mapping
        The study as it was written, in which ``distil`` was found right.
    """
    given = definition.get("distil")
    if not isinstance(given, Mapping):
        return list(mistakes)
    written = definition["stages"] if isinstance(definition.get("stages"), Mapping) else {}
    recipes = recipes_of(definition)
    parties = {"teacher": "teacher", "alone": "student"}
    within = [(mistake, *mistake.partition(".")[2].partition(".")[::2]) for mistake in mistakes]
    theirs = {rest for _, name, rest in within if name in parties and name not in written}
    found = []
    for mistake, stage, rest in within:
        if rest in theirs and recipe_of(stage, recipes) and stage not in written:
            continue  # taken over from student or teacher, where it is told
        place, colon, what = mistake.partition(": ")
        names = [name for name in re.findall(r"(?<![\w.])stages\.(\w+)", place) if name not in written]
        for name, party in parties.items():
            if name in names and isinstance(given.get(party), Mapping):
                place = re.sub(rf"(?<![\w.])stages\.{name}\b", f"distil.{party}", place)
        idle = re.match(r"own_input of '(\w+)'", what) if place.startswith("compare.") else None
        if idle and idle[1] in recipes:
            place = "distil.controls"
        made = [f"{name} by the recipe {recipe_of(name, recipes)}" for name in names if recipe_of(name, recipes)]
        mistake = f"{place}{colon}{what}" + (f" (distil makes {', '.join(made)}.)" if made else "")
        if "steps.feedback.quiz" in mistake and "quiz" not in str(written):
            mistake = mistake.replace("steps.feedback.quiz", "distil.quiz")
        found.append(mistake)
    return found


def _kind_of(target: Any) -> str:
    """Return the kind of a target, or of the first of several; one that is wrong in itself is told of elsewhere."""
    target = target[0] if isinstance(target, list) and target else target
    try:
        return "trace" if written_out(target).get("trace") else "class"
    except (StudyError, TypeError, AttributeError):
        return "class"


@dataclass(frozen=True)
class _Arm:
    """A recipe that is asked for: the key where, the name of its arm, and what it is."""

    key: str
    name: str
    recipe: Recipe


class _Expansion:
    def __init__(self, given: Mapping[str, Any], written: Mapping[str, Any], kind: str, labelled: Any) -> None:
        self.given, self.written, self.kind, self.labelled = given, written, kind, labelled
        self.mistakes: list[str] = []
        self.stages: dict[str, Any] = {}
        self.compare: list[dict[str, Any]] = []

    def expand(self) -> None:
        """Make the stages and comparisons, or find what is wrong."""
        arms = self._arms()
        self._check_controls()
        student = self._party("student", "alone", NETWORK)
        teacher = self._party("teacher", "teacher", TEACHER)
        if student is None or self.mistakes:
            return
        needed = [arm for arm in arms if arm.recipe.takes_teacher == "needed"]
        unused = bool(arms) and all(arm.recipe.takes_teacher == "none" for arm in arms)
        if teacher is None and needed:
            names = " and ".join(dict.fromkeys(arm.name for arm in needed))
            self.mistakes.append(
                f"distil.teacher: {names} {'needs' if len(needed) == 1 else 'need'} a teacher; write teacher: "
                "{model: MODEL, inputs: [MODALITY, ...]}, or the name of a stage."
            )
        if teacher is not None and unused:
            self.mistakes.append(
                f"distil.teacher: {' and '.join(arm.name for arm in arms)} teaches a network by itself and takes no "
                "teacher; remove teacher, or take another recipe (limbeck methods)."
            )
        if self.mistakes:
            return
        made: dict[str, Any] = {}
        for arm in arms:
            uses = arm.recipe.takes_teacher != "none"
            self._add(arm, Site(arm.name, student, teacher if uses else None, self.kind), made)  # type: ignore[arg-type]
        if self.mistakes:
            return
        self.stages = {**self._parties(student, teacher, made), **made}
        taken = [name for name in self.stages if name in self.written]
        self.mistakes += [
            f"stages.{name}: distil makes a stage of this name; give yours another"
            + (f", or write distil.{_role(name)}: {name} to use it." if _role(name) else ".")
            for name in taken
        ]

    # ---- what is asked for ------------------------------------------------------------------------------------------

    def _arms(self) -> list[_Arm]:
        """Return the recipes that are asked for, each with its options checked."""
        if ("recipe" in self.given) == ("recipes" in self.given):
            found = "both" if "recipe" in self.given else "neither"
            self.mistakes.append(
                f"distil: expected recipe (with its options beside it) or recipes (a list), found {found}."
                + (did_you_mean("", RECIPES) if found == "neither" else "")
            )
            return []
        if "recipe" in self.given:
            options = {key: value for key, value in self.given.items() if key not in (*KEYS, "recipe")}
            recipe = self._recipe("distil", self.given["recipe"], options)
            return [] if recipe is None else [_Arm("distil", str(self.given["recipe"]), recipe)]
        listed = self.given["recipes"]
        self.mistakes += [
            f"distil.{key}: there is no such key.{did_you_mean(str(key), [*KEYS, 'recipes'])} Options of a recipe "
            "stand under its name: recipes: [{NAME: {OPTION: VALUE}}]."
            for key in self.given
            if key not in (*KEYS, "recipes")
        ]
        if not isinstance(listed, list) or not listed:
            self.mistakes.append(f"distil.recipes: expected a list of recipes, found {listed!r}.")
            return []
        arms = [arm for place, one in enumerate(listed) if (arm := self._listed(f"distil.recipes.{place}", one))]
        names = [arm.name for arm in arms]
        self.mistakes += [
            f"distil.recipes: {name} stands there twice; call one otherwise: {{NAME: {{recipe: {name}, ...}}}}."
            for name in dict.fromkeys(names)
            if names.count(name) > 1
        ]
        return arms

    def _listed(self, key: str, one: Any) -> _Arm | None:
        """Return an item of the list: a name, or a name with options, `recipe` among them where it is not the name."""
        if isinstance(one, str):
            one = {one: {}}
        if not isinstance(one, Mapping) or len(one) != 1:
            self.mistakes.append(f"{key}: expected NAME or {{NAME: {{OPTION: VALUE}}}}, found {one!r}.")
            return None
        ((name, options),) = one.items()
        options = {} if options is None else options
        if not isinstance(options, Mapping):
            self.mistakes.append(f"{key}.{name}: expected a mapping of options, found {options!r}.")
            return None
        chosen = {option: value for option, value in options.items() if option != "recipe"}
        recipe = self._recipe(f"{key}.{name}", options.get("recipe", name), chosen)
        return None if recipe is None else _Arm(f"{key}.{name}", str(name), recipe)

    def _recipe(self, key: str, name: Any, options: Mapping[str, Any]) -> Recipe | None:
        if not isinstance(name, str):
            beside = "recipe: NAME" if key == "distil" else "{NAME: {OPTION: VALUE}}"
            self.mistakes.append(
                f"{key}: expected the name of a recipe, found {exact(name)}; its options stand beside it: {beside}"
                f"{', OPTION: VALUE' if key == 'distil' else ''}."
            )
            return None
        if name not in RECIPES:
            self.mistakes.append(f"{key}: there is no recipe '{name}'.{did_you_mean(str(name), RECIPES)}")
            return None
        allowed = RECIPES.options(name)
        keys = [*allowed, *KEYS] if key == "distil" else list(allowed)
        wrong = [
            f"{key}.{option}: the recipe '{name}' has no such option.{did_you_mean(str(option), keys)}"
            for option in options
            if option not in allowed
        ]
        self.mistakes += wrong
        if wrong:
            return None
        try:
            recipe: Recipe = RECIPES[name](**options)
        except LimbeckError as error:
            self.mistakes += _placed(key, error)
            return None
        if self.labelled == "all" and "unlabelled windows" in recipe.needs:
            self.mistakes.append(
                f"{key}: the recipe '{name}' learns from windows whose labels are hidden, and protocol.labelled is "
                "all; write fewer subjects than there are to train on, or take another recipe."
            )
            return None
        if self.kind not in recipe.kinds:
            self.mistakes.append(
                f"{key}: the recipe '{name}' is for a target that is a {recipe.kinds[0]}, and this is a {self.kind}."
            )
            return None
        return recipe

    def _check_controls(self) -> None:
        for key, known in (("controls", CREDIT), ("diagnostics", DIAGNOSTICS)):
            listed = self.given.get(key)
            if listed is None:
                continue
            if not isinstance(listed, list):
                self.mistakes.append(f"distil.{key}: expected a list, found {listed!r}.")
                continue
            self.mistakes += [
                f"distil.{key}: there is no '{kind}'.{did_you_mean(str(kind), known)}"
                for kind in listed
                if not isinstance(kind, str) or kind not in known
            ]

    # ---- student and teacher ----------------------------------------------------------------------------------------

    def _party(self, role: str, stage: str, allowed: tuple[str, ...]) -> Party | None:
        """Return student or teacher: a network that is described, or a stage of the user."""
        given = self.given.get(role)
        if given is None:
            if role == "student":
                self.mistakes.append(
                    "distil.student: this key is needed: student: {model: MODEL, inputs: [MODALITY, ...]}, or the name "
                    "of a stage that learns alone."
                )
            return None
        if isinstance(given, str):
            if given in self.written:
                return Party(given, self._resolved(given), written=True)
            self.mistakes.append(f"distil.{role}: there is no stage '{given}'.{did_you_mean(given, self.written)}")
            return None
        if not isinstance(given, Mapping):
            self.mistakes.append(
                f"distil.{role}: expected a mapping with model and inputs, or the name of a stage, found {given!r}."
            )
            return None
        self.mistakes += [
            f"distil.{role}.{key}: this key is needed." for key in ("model", "inputs") if key not in given
        ]
        party = Party(stage, copy.deepcopy(dict(given)))
        if party.model and party.model not in MODELS:
            self.mistakes.append(f"distil.{role}.model: there is no such model.{did_you_mean(party.model, MODELS)}")
        self.mistakes += [
            f"distil.{role}.{key}: there is no such key.{did_you_mean(str(key), allowed)} What is more than that is a "
            f"stage: write it under stages, and its name here."
            for key in given
            if key not in allowed
        ]
        return party

    def _resolved(self, name: str) -> dict[str, Any]:
        """Return a stage of the user with what it inherits; what is wrong with that is told elsewhere."""
        whole: dict[str, Any] = {}
        seen: list[str] = []
        stage = self.written.get(name)
        while isinstance(stage, Mapping):
            whole = {**{key: value for key, value in stage.items() if key != "like"}, **whole}
            other = stage.get("like")
            if not isinstance(other, str) or other in seen:
                break
            seen.append(other)
            stage = self.written.get(other)
        return whole

    def _parties(self, student: Party, teacher: Party | None, made: dict[str, Any]) -> dict[str, Any]:
        """Return the stages of teacher and student; a teacher who teaches nobody only lends its network."""
        found = {}
        if teacher is not None and not teacher.written:
            if any(teacher.stage in _named(stage) for stage in made.values()):
                found[teacher.stage] = dict(teacher.definition)
            else:
                for name, stage in made.items():
                    if stage.get("like") == teacher.stage:
                        own = {key: value for key, value in stage.items() if key != "like"}
                        made[name] = {**copy.deepcopy(dict(teacher.definition)), **own}
        if not student.written:
            found[student.stage] = dict(student.definition)
        return found

    # ---- arms -------------------------------------------------------------------------------------------------------

    def _add(self, arm: _Arm, site: Site, made: dict[str, Any]) -> None:
        try:
            stages = arm.recipe.stages(site)
        except LimbeckError as error:
            self.mistakes += _placed(arm.key, error)
            return
        last = stages[arm.name]
        for key in ARM:
            if self.given.get(key) is None or not last.get("taught_by"):
                continue
            value = copy.deepcopy(self.given[key])
            both = isinstance(value, Mapping) and isinstance(last.get(key), Mapping)
            last[key] = {**last[key], **value} if both else value
        self.mistakes += [
            f"{arm.key}: its stage '{name}' is one of another recipe; call the arm otherwise."
            for name in stages
            if name in made
        ]
        made.update(stages)
        comparison: dict[str, Any] = {
            "taught": arm.name,
            "alone": site.called("alone") if site.called("alone") in stages else site.student.stage,
            "controls": self._controls(arm.recipe, site),
        }
        if self.given.get("diagnostics") and last.get("taught_by") and not last.get("partners"):
            comparison["diagnostics"] = list(self.given["diagnostics"])
        self.compare.append(comparison)

    def _controls(self, recipe: Recipe, site: Site) -> list[str]:
        """Return the credit controls of an arm: of those that are wanted the ones that mean something for it.

        Where a teacher's network cannot read the student's sensors, `own_input` takes the student's network instead;
        unless it is asked for, a recipe that compares features has none then, since that one may lack the feature.
        """
        meaningful = recipe.controls_at(site)
        if self.given.get("controls") is not None:
            return [kind for kind in self.given["controls"] if kind in meaningful]
        model = recipe.teacher_model(site)
        readable = not model or reads_many(model, len(site.student.inputs)) or "features" not in recipe.needs
        return [kind for kind in CREDIT if kind in meaningful and (readable or kind != "own_input")]


def _placed(key: str, error: LimbeckError) -> list[str]:
    """Return what a recipe says of its options, of teacher or student, or of itself, each behind its key."""
    found = []
    for line in str(error).splitlines():
        option = re.match(r"[a-z_]+(?=[.:])", line)
        if option and option[0] in ("teacher", "student") and key != "distil":
            place, _, rest = line.partition(": ")
            found.append(f"distil.{place}, for {key.rpartition('.')[2]}: {rest}")
        else:
            found.append(f"{key}.{line}" if option else f"{key}: {line}")
    return found


def _role(name: str) -> str:
    """Return under which key of ``distil`` a stage of this name could be used."""
    return {"teacher": "teacher", "alone": "student"}.get(name, "")


def _named(stage: Mapping[str, Any]) -> set[str]:
    """Return the stages that a recipe's stage stands on."""
    taught_by = stage.get("taught_by") or []
    start = stage.get("start")
    partners = stage.get("partners") or {}
    found = {taught_by} if isinstance(taught_by, str) else set(taught_by)
    found.add(start["stage"] if isinstance(start, Mapping) else start)
    found |= {partner.get("stage") for partner in partners.values()}
    return {name for name in found if isinstance(name, str)}


def expanded(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study with its stages and comparisons written out instead of ``distil``.

    Parameters
    ----------
    definition : mapping
        A study; of several targets the first one says what kind they are of.

    Raises
    ------
    StudyError
        With every mistake under ``distil``, or where a sweep makes several studies of it.
    """
    sweep = definition.get("sweep")
    swept = [str(key) for key in (sweep if isinstance(sweep, Mapping) else {}) if str(key).startswith("distil")]
    if swept:
        raise StudyError(
            [f"sweep.{key}: it makes several studies; choose one of them: --set {key}=VALUE." for key in swept]
        )
    whole = copy.deepcopy(dict(definition))
    place = list(whole).index("distil") if "distil" in whole else len(whole)
    keys = list(whole)
    mistakes = expand_recipes(whole)
    if mistakes:
        raise StudyError(mistakes)
    order = [*keys[:place], "stages", "compare", *keys[place:]]
    return {key: whole[key] for key in dict.fromkeys(order) if key in whole}
