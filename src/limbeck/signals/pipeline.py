"""Pipelines: the steps and features of one modality, in order, run on recordings and on windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from limbeck.errors import DataError
from limbeck.recording import Signal
from limbeck.signals.kinds import FeatureKind, Step, StepKind

__all__ = ["Pipeline", "WindowValues"]


@dataclass(frozen=True)
class WindowValues:
    """What a pipeline makes of windows.

    Parameters
    ----------
    data : ndarray of shape (n_windows, n_channels, n_times) or (n_windows, n_columns), float32
    channels : tuple of str
        A name per channel; for features, what each column is of: a channel, or channels related (``F3-F4``).
    features : tuple of str or None
        Column names such as ``eeg.Fp1.bandpower.alpha``, channel by channel and within it in the order of the features
        named, behind them those across channels; None for samples.
    """

    data: np.ndarray
    channels: tuple[str, ...]
    features: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Pipeline:
    """The steps of one modality, in order; without any, samples pass as they are.

    Parameters
    ----------
    modality : str
    steps : tuple of Step
        Those on the recording, then those per window.
    features : tuple of Step
        What becomes of each window; empty to keep its samples.
    column_major : bool
        Order the columns of features by column and within it by channel (all channels of a band, then of the next);
        else by channel and within it by column.
    n_channels : int or None
        Channels that the features need, where a published number of columns depends on it.
    """

    modality: str
    steps: tuple[Step, ...] = ()
    features: tuple[Step, ...] = ()
    column_major: bool = False
    n_channels: int | None = None

    @property
    def causal(self) -> bool:
        """Whether every step is: whether the pipeline can run live."""
        return all(each.causal for each in self.steps)

    @property
    def not_causal(self) -> tuple[str, ...]:
        """A sentence per step that looks ahead, and what to write instead."""
        reasons = []
        for each in self.steps:
            if not each.causal:
                switch = cast("StepKind", each.kind).causal
                remedy = f"write {{{each.name}: {{..., {switch}: true}}}}" if switch else "it has no causal form"
                reasons.append(f"{each.name} looks at later samples; {remedy}")
        return tuple(reasons)

    def shared_channels(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Return the channels that go into every channel that the pipeline makes, such as those of a reference.

        Parameters
        ----------
        channels : sequence of str
            As recorded.
        """
        names = tuple(channels)
        shared: list[str] = []
        for each in self.steps:
            kind = cast("StepKind", each.kind)
            shared += kind.shares(names, **each.parameters)
            names = kind.new_channels(names, **each.parameters)
        return tuple(dict.fromkeys(shared))

    @property
    def definition(self) -> dict[str, Any]:
        """The whole pipeline with every parameter, as JSON values."""
        return {
            "modality": self.modality,
            "steps": [[each.name, _as_json(each.parameters)] for each in self.steps],
            "features": [[each.name, _as_json(each.parameters)] for each in self.features],
            "column_major": self.column_major,
            "n_channels": self.n_channels,
        }

    def on_recording(self, signal: Signal) -> Signal:
        """Run the steps that work before the cut.

        Parameters
        ----------
        signal : Signal
            Of this modality.

        Returns
        -------
        Signal
            float32, with the rate, channels and unit that the steps leave.

        Raises
        ------
        DataError
            What a step refuses, with the step's name and the modality; more channels than samples, which is an array
            the wrong way round.
        """
        self._refuse_transpose("recording", signal.data)
        for each in self.steps:
            if each.runs == "recording":
                signal = self._apply(each, signal)
        return replace(signal, data=signal.data.astype(np.float32, copy=False))

    def _refuse_transpose(self, what: str, data: np.ndarray) -> None:
        if data.shape[-2] > data.shape[-1] > 0:
            raise DataError(
                f"signals.{self.modality}: a {what} has shape (channel, time); found {data.shape[-2:]}, "
                "more channels than samples, which looks like the transpose."
            )

    def on_arrays(self, data: np.ndarray, rate: float, channels: Sequence[str]) -> WindowValues:
        """Run the whole pipeline on windows that no longer have a recording.

        Steps that work on a recording see each window as one: a filter starts anew in each.

        Parameters
        ----------
        data : ndarray of shape (n_windows, n_channels, n_times)
        rate : float
            Hz.
        channels : sequence of str

        Returns
        -------
        WindowValues

        Raises
        ------
        DataError
            What a step or feature refuses; more channels than samples, which is an array the wrong way round.
        """
        self._refuse_transpose("window", data)
        return self.on_windows(*self._run("recording", data, rate, tuple(channels)))

    def on_windows(self, data: np.ndarray, rate: float, channels: Sequence[str]) -> WindowValues:
        """Run the steps and features that work per window.

        Parameters
        ----------
        data : ndarray of shape (n_windows, n_channels, n_times)
        rate : float
            Hz.
        channels : sequence of str

        Returns
        -------
        WindowValues
        """
        data, rate, names = self._run("window", data, rate, tuple(channels))
        if not self.features:
            return WindowValues(np.ascontiguousarray(data, dtype=np.float32), names)
        values, sources, columns = self._features(data, rate, names)
        features = tuple(f"{self.modality}.{source}.{column}" for source, column in zip(sources, columns, strict=True))
        twice = [name for name, count in Counter(features).items() if count > 1]
        if twice:
            raise DataError(f"signals.{self.modality}: {len(twice)} columns stand there twice, such as {twice[0]}.")
        return WindowValues(np.ascontiguousarray(values, dtype=np.float32), sources, features)

    def _run(
        self, runs: str, data: np.ndarray, rate: float, names: tuple[str, ...]
    ) -> tuple[np.ndarray, float, tuple[str, ...]]:
        """Run the steps on recordings, or those per window; return what they make of samples, rate and names."""
        for each in self.steps:
            if each.runs == runs:
                kind = cast("StepKind", each.kind)
                with _naming(self.modality, each):
                    told = kind.told(modality=self.modality, channels=names, starts_at=0.0)
                    data = kind(data, rate, **each.parameters, **told)
                    rate = kind.new_rate(rate, **each.parameters)
                    names = kind.new_channels(names, **each.parameters)
        return data, rate, names

    def _features(
        self, data: np.ndarray, rate: float, channels: tuple[str, ...]
    ) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
        """Return the values (n_windows, n_columns), what each column is of, and its name behind that."""
        if self.n_channels is not None and len(channels) != self.n_channels:
            raise DataError(
                f"signals.{self.modality}: this feature set is of {self.n_channels} channels; found {len(channels)} "
                f"({', '.join(channels[:40])}). Choose them with a step before it: {{pick: [...]}}."
            )
        per_channel = [each for each in self.features if not cast("FeatureKind", each.kind).across]
        blocks, sources, columns = [], [], []
        if per_channel:
            names = [
                f"{each.name}.{column}"
                for each in per_channel
                for column in cast("FeatureKind", each.kind).columns(**each.parameters)
            ]
            values = np.concatenate([self._compute(each, data, rate, channels) for each in per_channel], axis=-1)
            pairs = [(channel, name) for channel in channels for name in names]
            if self.column_major:
                values = values.swapaxes(-1, -2)
                pairs = [(channel, name) for name in names for channel in channels]
            blocks.append(values.reshape(len(data), len(pairs)))
            sources += [channel for channel, _ in pairs]
            columns += [name for _, name in pairs]
        for each in self.features:
            kind = cast("FeatureKind", each.kind)
            if kind.across:
                blocks.append(self._compute(each, data, rate, channels))
                with _naming(self.modality, each):
                    related = kind.columns(channels=channels, **each.parameters)
                sources += [source for source, _ in related]
                columns += [f"{each.name}.{column}" for _, column in related]
        return np.concatenate(blocks, axis=-1), tuple(sources), tuple(columns)

    def _apply(self, each: Step, signal: Signal) -> Signal:
        kind = cast("StepKind", each.kind)
        with _naming(self.modality, each):
            told = kind.told(modality=self.modality, channels=signal.channels, starts_at=signal.start)
            data = kind(signal.data, signal.rate, **each.parameters, **told)
            return Signal(
                data=data,
                rate=kind.new_rate(signal.rate, **each.parameters),
                channels=kind.new_channels(signal.channels, **each.parameters),
                unit=kind.new_unit(signal.unit, **each.parameters),
                start=kind.new_start(signal.start, signal.rate, **each.parameters),
            )

    def _compute(self, each: Step, data: np.ndarray, rate: float, channels: tuple[str, ...]) -> np.ndarray:
        told = each.kind.told(modality=self.modality, channels=channels)
        with _naming(self.modality, each):
            return each.kind(data, rate, **each.parameters, **told)


class _naming:  # noqa: N801 (a context manager, used as a word)
    """Put the modality and the step in front of what a step refuses."""

    def __init__(self, modality: str, each: Step) -> None:
        self.place = f"signals.{modality}, {each.name}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DataError):
            raise DataError(f"{self.place}: {error}") from error


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):  # as pairs, since the order of bands is the order of columns
        return [[str(key), _as_json(entry)] for key, entry in value.items()]
    if isinstance(value, list | tuple):
        return [_as_json(entry) for entry in value]
    return value
