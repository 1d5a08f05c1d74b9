"""The changes of all modalities of a view, as a study writes them: checked as a whole, drawn and applied as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from limbeck.augment.contract import CHANGES, Change, WindowShape, widened
from limbeck.augment.defaults import STRENGTHS, default_changes
from limbeck.errors import StudyError, did_you_mean

__all__ = ["Augmentation"]

DROP = "drop"
"""The key of modalities that are lost whole; no modality is called so."""

Noise = dict[str, dict[str, dict[str, np.ndarray]]]
"""By modality, by step, by name."""


@dataclass(frozen=True)
class Augmentation:
    """Random changes of the windows of a view; :meth:`parse` makes one from what a study says.

    Parameters
    ----------
    shapes : mapping of str to WindowShape
        Of every modality of the view.
    steps : mapping of str to mapping of str to Change
        By modality, in the order in which they are applied; the keys are place and name, ``"0.jitter"``.
    drop : mapping of str to float
        By modality: the probability with which it is lost whole (NaN), as when its sensor is absent.
    """

    shapes: Mapping[str, WindowShape]
    steps: Mapping[str, Mapping[str, Change]]
    drop: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parse(
        cls,
        spec: Any,
        modalities: Mapping[str, tuple[int, int, float | None]],
        *,
        source: str = "augment",
        in_time: bool = False,
    ) -> Augmentation:
        """Build the changes of a view.

        Parameters
        ----------
        spec : str or mapping
            ``"default"``, ``"weak"`` or ``"strong"`` for what suits each modality; or a mapping from modality to one of
            these or to a list of changes, each a name or a mapping from the name to its arguments (a list is
            positional, a mapping by keyword, anything else the one positional argument). The key ``drop`` maps
            modalities to the probability with which they are lost whole. What is not named stays as it is.
        modalities : mapping of str to (int, int, float or None)
            Channels, samples and rate in Hz of each modality of the view; features have the rate None.
        source : str
            What messages call `spec`.
        in_time : bool
            Whether every moment has to stay where it is, since each has a target of its own: changes that move time are
            left out of the strengths, and refused where they are written.

        Raises
        ------
        StudyError
            With every mistake: unknown names (with the nearest), wrong arguments, changes that do not suit the windows.

        Examples
        --------
        >>> chosen = Augmentation.parse(
        ...     {"eeg": [{"jitter": 0.05}, "flip"], "drop": {"eeg": 0.5}}, {"eeg": (4, 512, 128.0), "eda": (1, 16, 4.0)}
        ... )
        >>> list(chosen.steps["eeg"])
        ['0.jitter', '1.flip']
        """
        shapes = {name: WindowShape(*shape) for name, shape in modalities.items()}
        mistakes: list[str] = []
        steps: dict[str, dict[str, Change]] = {}
        drop: dict[str, float] = {}
        for modality, written in _by_modality(spec, shapes, source, mistakes).items():
            place = f"{source}.{modality}"
            if modality == DROP:
                drop = _parse_drop(written, shapes, place, mistakes)
            elif modality not in shapes:
                mistakes.append(
                    f"{source}: the view has no modality '{modality}'.{did_you_mean(str(modality), [*shapes, DROP])}"
                )
            elif isinstance(written, str):
                steps[modality] = _suiting(modality, shapes[modality], written, place, mistakes, in_time)
            else:
                steps[modality] = _parse_steps(written, shapes[modality], place, mistakes, in_time)
        if mistakes:
            raise StudyError(mistakes, source=source)
        return cls(shapes, steps, drop)

    def resolved(self) -> dict[str, Any]:
        """Return the changes as a study writes them, with all defaults filled in; :meth:`parse` gives them back."""
        written: dict[str, Any] = {
            modality: [{key.partition(".")[2]: asdict(change)} for key, change in steps.items()]
            for modality, steps in self.steps.items()
        }
        return written | ({DROP: dict(self.drop)} if self.drop else {})

    def noise(self, batch: int, rng: np.random.Generator) -> Noise:
        """Draw all that is random in the changes of one network's batch.

        Parameters
        ----------
        batch : int
            Windows.
        rng : numpy.random.Generator
            The network's own, for this step and view.

        Returns
        -------
        dict of str to dict of str to dict of str to ndarray
            By modality, step (``"0.jitter"``, ``"drop"``) and name; float32 or int64, batch first.
            :func:`limbeck.augment.stacked` puts those of many networks together.
        """
        drawn = {
            modality: {
                key: change.noise(self.shapes[modality].of_batch(batch), self.shapes[modality].rate, rng)
                for key, change in steps.items()
            }
            for modality, steps in self.steps.items()
        }
        for modality, gone in self._lost(batch, rng).items():
            drawn.setdefault(modality, {})[DROP] = {"gone": gone}
        return drawn

    def _lost(self, batch: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw which modalities each window loses, 1 for lost: where all would be, one of them, any alike, stays."""
        if not self.drop:
            return {}
        chance = np.array(list(self.drop.values()))
        drawn = rng.random((batch, len(chance)))
        gone = drawn < chance
        if len(chance) == len(self.shapes):
            all_gone = gone.all(axis=1)
            # Given that all are lost, each drawn number is uniform below its chance: none is favoured by the ratio.
            gone[all_gone, (drawn[all_gone] / chance).argmax(axis=1)] = False
        return dict(zip(self.drop, gone.T.astype(np.float32), strict=True))

    def apply(
        self, inputs: Mapping[str, Tensor], noise: Mapping[str, Mapping[str, Mapping[str, Tensor]]]
    ) -> dict[str, Tensor]:
        """Return changed windows of the same shapes and dtypes; those given are left as they are.

        Parameters
        ----------
        inputs : mapping of str to Tensor of shape (..., batch, channels, time) or (..., batch, features)
            Normalised windows by modality. One that is NaN throughout, an absent sensor, stays so.
        noise : mapping
            As :meth:`noise` draws it, with the same leading axes.
        """
        changed = dict(inputs)
        for modality, steps in self.steps.items():
            for key, change in steps.items():
                changed[modality] = change.apply(changed[modality], noise[modality][key])
        return self._lose(changed, noise) if self.drop else changed

    def _lose(
        self, inputs: dict[str, Tensor], noise: Mapping[str, Mapping[str, Mapping[str, Tensor]]]
    ) -> dict[str, Tensor]:
        """Put NaN in place of lost modalities, except in windows that would be left with none."""
        gone = {modality: noise[modality][DROP]["gone"] > 0.5 for modality in self.drop}
        absent = {modality: self._absent(modality, x) for modality, x in inputs.items()}
        lacking = [absent[modality] | gone[modality] if modality in gone else absent[modality] for modality in inputs]
        some_left = ~torch.stack(lacking).all(dim=0)
        return {
            modality: torch.where(widened(gone[modality] & some_left, x), torch.nan, x) if modality in gone else x
            for modality, x in inputs.items()
        }

    def _absent(self, modality: str, x: Tensor) -> Tensor:
        """Return whether each window (..., batch) lacks a modality; one moment tells, since it is NaN throughout."""
        return (x if self.shapes[modality].is_feature else x[..., 0]).isnan().all(dim=-1)


def _by_modality(spec: Any, shapes: Mapping[str, WindowShape], source: str, mistakes: list[str]) -> Mapping[Any, Any]:
    """Return what is written for each modality."""
    if isinstance(spec, str):
        if spec in STRENGTHS:
            return dict.fromkeys(shapes, spec)
        mistakes.append(f"{source}: there is no strength '{spec}'.{did_you_mean(spec, STRENGTHS)}")
        return {}
    if isinstance(spec, Mapping) and spec:
        return spec
    mistakes.append(
        f"{source}: expected {', '.join(STRENGTHS)}, or a mapping from modality to changes such as "
        f"{{eeg: [{{jitter: 0.05}}]}}; found {spec!r}"
    )
    return {}


def _suiting(
    modality: str, shape: WindowShape, strength: str, place: str, mistakes: list[str], in_time: bool
) -> dict[str, Change]:
    """Return the changes that suit a modality, but those for which windows are too small or that may not move time."""
    try:
        written = default_changes(modality, shape.is_feature, strength)
    except StudyError as error:
        mistakes.extend(f"{place}: {mistake}" for mistake in error.mistakes)
        return {}
    changes = [(name, _build(name, arguments)) for name, arguments in map(_name_and_arguments, written)]
    fitting = [
        (name, change)
        for name, change in changes
        if not any(change.unfit(shape)) and not (in_time and change.moves_time)
    ]
    return {f"{index}.{name}": change for index, (name, change) in enumerate(fitting)}


def _parse_steps(written: Any, shape: WindowShape, place: str, mistakes: list[str], in_time: bool) -> dict[str, Change]:
    if not isinstance(written, list | tuple):
        mistakes.append(f"{place}: expected a list of changes ([] for none) or a strength, found {written!r}")
        return {}
    steps = {}
    for index, entry in enumerate(written):
        try:
            name, arguments = _name_and_arguments(entry)
            change = _build(name, arguments)
            problems = tuple(_problems(name, change, shape, in_time))
        except StudyError as error:
            problems = error.mistakes
        if problems:
            mistakes.extend(f"{place}[{index}]: {problem}" for problem in problems)
        else:
            steps[f"{index}.{name}"] = change
    return steps


def _name_and_arguments(entry: Any) -> tuple[str, Any]:
    if isinstance(entry, str):
        return entry, None
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, arguments),) = entry.items()
        if isinstance(name, str):
            return name, arguments
    raise StudyError([f"expected a name or a mapping with one name, found {entry!r}"], source="augment")


def _build(name: str, arguments: Any) -> Change:
    """Make a change from its arguments; a StudyError says what is wrong with them."""
    positional: list[Any] = []
    keywords: Mapping[Any, Any] = {}
    if isinstance(arguments, Mapping):
        keywords = arguments
    elif arguments is not None:
        positional = list(arguments) if isinstance(arguments, list | tuple) else [arguments]
    mistakes = CHANGES.mistakes(name, [str(key) for key in keywords])
    if not mistakes:
        places = [option for option in CHANGES.options(name) if option != "probability"]
        if len(positional) > len(places):
            known = ", ".join(CHANGES.options(name))
            mistakes = [
                f"{name} takes {len(places)} arguments without their names, found {positional!r}; its options: {known}"
            ]
        keywords = {**keywords, **dict(zip(places, positional, strict=False))}
    if mistakes:
        raise StudyError(mistakes, source="augment")
    try:
        change: Change = CHANGES[name](**keywords)
    except StudyError as error:
        raise StudyError([f"{name}: {mistake}" for mistake in error.mistakes], source="augment") from error
    return change


def _problems(name: str, change: Change, shape: WindowShape, in_time: bool) -> Iterator[str]:
    """Yield why a change does not suit windows."""
    found = "features" if shape.is_feature else "signals"
    kinds = {other: cast("type[Change]", CHANGES[other]) for other in CHANGES}
    suiting = ", ".join(
        other for other, kind in kinds.items() if kind.suits == found and not (in_time and kind.moves_time)
    )
    if change.suits != found:
        yield f"{name} changes {change.suits}, and these windows are {found}. Use one of: {suiting}."
    elif in_time and change.moves_time:
        yield (
            f"{name} moves the signal in time, and the target has a value per step, which would not move along. Use "
            f"one of: {suiting}."
        )
    else:
        yield from (f"{name} {why}" for why in change.unfit(shape))


def _parse_drop(written: Any, shapes: Mapping[str, WindowShape], place: str, mistakes: list[str]) -> dict[str, float]:
    if not isinstance(written, Mapping) or not written:
        mistakes.append(f"{place}: expected a mapping from modality to a probability, found {written!r}")
        return {}
    before = len(mistakes)
    if len(shapes) < 2:
        mistakes.append(
            f"{place}: a view of {', '.join(shapes) or 'nothing'} alone has no modality to spare; leave it out"
        )
    for modality, chance in written.items():
        if modality not in shapes:
            mistakes.append(f"{place}: the view has no modality '{modality}'.{did_you_mean(str(modality), shapes)}")
        if not isinstance(chance, int | float) or isinstance(chance, bool) or not 0 <= chance <= 1:
            mistakes.append(f"{place}.{modality} is {chance!r}; expected a probability from 0 to 1")
    if len(mistakes) > before:
        return {}
    return {modality: float(chance) for modality, chance in written.items() if chance > 0}
