"""Zarr: recordings of every kind of content, converted."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from corpora import Expected, ExpectedSignal, Written, corpus
from limbeck.datasets.converting import convert
from limbeck.recording import Clock, Corpus, Event, LeftOut, Recording, Signal, Source, Trace


def recording(seed: int, subject: str, session: str, trial: str, order: int) -> Recording:
    """Make a recording with everything that one can hold."""
    rng = np.random.default_rng(seed)
    eeg = rng.normal(0, 20, (2, 300)).astype(np.float32)
    eda = rng.uniform(1, 9, (1, 13)).astype(np.float32)
    eda[0, 4:6] = np.nan
    return Recording(
        subject,
        {
            "eeg": Signal(eeg, 128.0, ("Fp1", "Cz"), "µV"),
            "eda": Signal(eda, 4.0, ("left hand",), "µS", -0.75),
        },
        session,
        trial,
        order,
        {"valence": float(rng.integers(1, 10)), "arousal": float("nan")},
        (Event("film, 1", 0.0, 1.1), Event("film, 1", 1.5, 1.5)),
        {"joy/fear": Trace(np.sort(rng.uniform(0, 2, 7)), rng.normal(size=7).astype(np.float32))},
        (LeftOut(f"{subject}: temp", "no samples"),),
        {"eda": Clock(-0.75, 12.5, 0.001, ((0.25, 0.75),), "clocks.csv")},
    )


def sources(seed: int) -> tuple[Source, ...]:
    keys = [("Émil 1", "", "first"), ("Émil 1", "", "second"), ("S/2", "b", "")]
    return tuple(
        Source(s, partial(recording, seed + i, s, session, trial, 1 - i if i < 2 else 0), session, trial)
        for i, (s, session, trial) in enumerate(keys)
    )


@corpus("zarr")
def write(folder: Path, rng: np.random.Generator) -> Written:
    """Two subjects, names that no file could have, and everything else that a recording holds."""
    listed = sources(int(rng.integers(1000)))
    out = folder / "converted"
    convert(Corpus("invented", listed), out, to="zarr")
    for child in sorted(out.iterdir()):
        child.rename(folder / child.name)
    out.rmdir()
    expected = []
    for held in (source.read() for source in listed):
        signals = {m: ExpectedSignal(s.data, s.rate, s.channels, s.start, 0.0) for m, s in held.signals.items()}
        identity = (held.session, held.trial, held.order, held.ratings)
        events = tuple((event.name, event.start, event.end) for event in held.events)
        traces = {name: (trace.times, trace.values) for name, trace in held.traces.items()}
        expected.append(Expected(held.subject, signals, *identity, events, traces))
    files = [file for file in folder.rglob("*") if file.is_file() and file.parent != folder]
    return Written(folder, expected, signal_files=[file for file in files if file.name != "zarr.json"])
