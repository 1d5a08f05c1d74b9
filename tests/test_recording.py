"""How recordings, signals and corpora show themselves, and what modalities are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from limbeck import from_arrays
from limbeck.recording import LeftOut, Source, Trace, which_modality


def test_a_corpus_and_what_is_in_it_are_short_when_printed() -> None:
    eeg = np.zeros((200, 8, 5000), dtype=np.float32)
    corpus = from_arrays({"eeg": eeg}, {"eeg": 128}, [f"s{i // 2:03}" for i in range(200)])
    corpus.leave_out(LeftOut("s001", "nothing"))
    assert repr(corpus) == (
        "<Corpus arrays: 100 subjects (s000, s001, s002, s003 and 96 more), 200 recordings, 1 left out>"
    )
    assert repr(corpus.sources[0]) == "<Source: s000 0; no files>"
    recording = corpus.sources[3].read()
    assert repr(recording) == "<Recording: s001 3; eeg; 39.0625 s>"
    assert repr(recording.signals["eeg"]) == ("<Signal: eeg1, eeg2, eeg3, eeg4 and 4 more; 5000 samples at 128 Hz, µV>")
    assert repr(Trace(np.arange(9000.0), np.zeros(9000))) == "<Trace: 9000 values>"
    source = Source("P1", recording.__repr__, "2", "rest", (Path("a/b.edf"),))  # type: ignore[arg-type]
    assert repr(source) == "<Source: P1 2 rest; b.edf>"


def test_other_names_of_modalities_are_known() -> None:
    assert which_modality("PPG") == " PPG is bvp here."
    assert which_modality("gsr ") == " GSR is eda here."
    assert which_modality("ecgg") == " Did you mean 'ecg'?"
    assert which_modality("video7").startswith(" Did you mean 'video'")
