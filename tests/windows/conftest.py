"""Small corpora, made by hand."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from limbeck.recording import Corpus, Event, Recording, Signal, Source
from limbeck.targets import Target


@pytest.fixture
def ramp() -> Callable[..., Signal]:
    """A signal whose samples are their own times (in the first channel) and minus these (in the others)."""

    def make(rate: float, seconds: float, modality: str = "eda", start: float = 0.0, channels: int = 1) -> Signal:
        times = start + np.arange(round(rate * seconds)) / rate
        data = np.stack([times, *[-times] * (channels - 1)]).astype(np.float32)
        return Signal(data, rate, tuple(f"{modality}{index}" for index in range(channels)), "µS", start)

    return make


@pytest.fixture
def make_corpus() -> Callable[..., Corpus]:
    """A corpus of recordings that are held in memory; `read` counts are in ``truth["reads"]``."""

    def make(*recordings: Recording, name: str = "handmade") -> Corpus:
        reads: list[str] = []

        def read(recording: Recording) -> Recording:
            reads.append(f"{recording.subject}{recording.trial}")
            return recording

        sources = tuple(
            Source(each.subject, partial(read, each), each.session, each.trial, options={"index": index})
            for index, each in enumerate(recordings)
        )
        return Corpus(name, sources, truth={"reads": reads})

    return make


@pytest.fixture
def rest_and_task() -> Target:
    return Target("load", events={"rest": ("rest",), "task": ("task",)})


@pytest.fixture
def two_subjects(ramp, make_corpus) -> Corpus:
    """Two subjects with 60 s of rest and 40 s of task, EDA at 4 Hz and three-axis ACC at 32 Hz."""
    events = (Event("rest", 0, 60), Event("task", 60, 100))
    return make_corpus(
        *(
            Recording(name, {"eda": ramp(4.0, 100), "acc": ramp(32.0, 100, "acc", channels=3)}, events=events)
            for name in ("S1", "S2")
        )
    )
