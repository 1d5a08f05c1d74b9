"""What a report says about a study besides its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["StudyRecord"]


@dataclass(frozen=True)
class StudyRecord:
    """A study as it was run: everything a report states that is not a score.

    All fields hold plain JSON values, so that ``StudyRecord(**json.loads(text))`` rebuilds what
    ``json.dumps(dataclasses.asdict(record))`` wrote.

    Parameters
    ----------
    study, question : str
        Name of the study, and what it asks in one sentence.
    definition : str
        The study as YAML, as it was written, with overrides applied.
    data : mapping
        ``name title licence citation subjects windows length hop`` (seconds), ``classes`` (windows per class) and, for
        a simulated corpus, ``ceilings`` (the best score that any model of a view can reach, such as
        ``{"student: eda": 0.79}``); other keys are shown as they are, keys that are missing are left out.
    protocol : mapping
        ``split repetitions seeds labelled validation normalisation`` and whatever else describes it; a value may be a
        mapping of variant to value.
    arms : sequence of mapping
        One per variant and arm: ``variant arm model inputs parameters taught_by loss besides chosen choices role
        optimistic``; missing keys read as unknown. `besides` are phrases on partners, steps and the like; `chosen`
        counts how often each candidate was chosen, and `choices` says which in each fold (``repetition fold seed tested
        chosen``); `optimistic` marks an arm whose selection has seen the test subjects.
    quality : sequence of mapping
        Of the signals, one per variant and modality: ``variant`` and the keys of
        :func:`limbeck.windows.quality_summary`.
    left_out : sequence of mapping
        ``what`` was not used and ``why``.
    warnings : sequence of str
        Shown near the top.
    environment, timing : mapping
        ``python platform packages limbeck commit cpu`` and ``seconds tasks started finished``.
    command : str
        The command that made the run.
    """

    study: str
    question: str
    definition: str
    data: Mapping[str, Any]
    protocol: Mapping[str, Any]
    arms: Sequence[Mapping[str, Any]]
    quality: Sequence[Mapping[str, Any]] = ()
    left_out: Sequence[Mapping[str, str]] = ()
    warnings: Sequence[str] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    timing: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
