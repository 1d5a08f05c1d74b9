"""The contract of all readers: what was written is what is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from corpora import CASES, Case

from limbeck.datasets import load
from limbeck.recording import UNITS


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_was_written_is_read(case: Case, seed: int, tmp_path: Path) -> None:
    written = case.write(tmp_path, np.random.default_rng(seed))
    corpus = load(case.dataset, written.root, **written.options)
    recordings = list(corpus)
    assert [(r.subject, r.session, r.trial, r.order) for r in recordings] == [
        (e.subject, e.session, e.trial, e.order) for e in written.recordings
    ]
    for recording, expected in zip(recordings, written.recordings, strict=True):
        assert set(recording.signals) == set(expected.signals)
        for modality, signal in recording.signals.items():
            wanted = expected.signals[modality]
            assert signal.channels == wanted.channels
            assert signal.unit == UNITS[modality]
            assert signal.rate == pytest.approx(wanted.rate)
            assert signal.start == pytest.approx(wanted.start, abs=1e-9)
            assert signal.data.dtype == np.float32
            np.testing.assert_allclose(signal.data, wanted.data, rtol=wanted.rtol, atol=wanted.atol)
        assert recording.ratings == pytest.approx(expected.ratings, nan_ok=True)
        assert [event.name for event in recording.events] == [name for name, _, _ in expected.events]
        np.testing.assert_allclose(
            [(event.start, event.end) for event in recording.events],
            [(start, end) for _, start, end in expected.events],
            atol=1e-6,
        )
        assert set(recording.traces) == set(expected.traces)
        for name, (times, values) in expected.traces.items():
            np.testing.assert_allclose(recording.traces[name].times, times)
            np.testing.assert_allclose(recording.traces[name].values, values, rtol=1e-6)
