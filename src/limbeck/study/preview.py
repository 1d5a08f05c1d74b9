"""One window of a study's recordings before and after cleaning, for who is still choosing the steps.

Of the study only ``data``, ``signals`` and ``windows`` are read: it need not have stages yet, nor a target.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from limbeck import datasets
from limbeck.datasets.files import there_are
from limbeck.errors import StudyError, did_you_mean
from limbeck.recording import Corpus, Source
from limbeck.signals import parse_signals
from limbeck.study import grammar, schema

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_preview"]


class _Study(BaseModel):
    """The part of a study that decides what its windows look like."""

    study: str
    data: grammar.Data
    signals: str | dict[str, list[Any]]
    windows: grammar.Windows


def draw_preview(
    study: str | Path,
    overrides: Iterable[str] = (),
    *,
    subject: str | None = None,
    trial: str | None = None,
    modalities: Sequence[str] = (),
    start: float | None = None,
    length: float | None = None,
) -> Figure:
    """Draw one window of a study's recordings before and after the study's steps.

    Parameters
    ----------
    study : path-like
        A study in YAML; what it sweeps has the values written outside the sweep.
    overrides : iterable of str
        Such as ``"signals.eda=[{lowpass: 2}]"``, as of :func:`limbeck.study.load_study`.
    subject, trial : str, optional
        Whose recording, and which; the first by default. A trial may also be named by its session.
    modalities : sequence of str
        Those to draw; all of the study by default.
    start, length : float, optional
        Seconds; the study's window in the middle of the recording by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    StudyError
        With every mistake in what is read of the study, and for a subject, trial or modality that is not there.
    DataError, ReadError
        The recording cannot be read, a step refuses it, or it has no such window.
    """
    from limbeck.report.signals import draw_window

    read = schema.load_part(study, _Study, overrides)
    pipelines = parse_signals(read.signals)
    unknown = [
        f"there is no modality '{name}' under signals.{did_you_mean(name, pipelines)}"
        for name in modalities
        if name not in pipelines
    ]
    if unknown:
        raise StudyError(unknown, source=str(study))
    corpus = datasets.load(read.data.corpus, read.data.root, **read.data.options)
    return draw_window(
        _choose(corpus, subject, trial, str(study)).read(),
        {name: pipeline for name, pipeline in pipelines.items() if not modalities or name in modalities},
        length=read.windows.length if length is None else length,
        hop=read.windows.hop,
        start=start,
        title=read.study,
    )


def _choose(corpus: Corpus, subject: str | None, trial: str | None, study: str) -> Source:
    """Return the source of a subject's recording, the first by default."""
    if not corpus.sources:
        raise StudyError([f"the corpus {corpus.name} holds no recording"], source=study)
    if subject is not None and subject not in corpus.subjects:
        raise StudyError([f"there is no subject '{subject}'.{there_are(corpus.subjects)}"], source=study)
    sources = [source for source in corpus.sources if source.subject == (subject or corpus.subjects[0])]
    if trial is None:
        return sources[0]
    for source in sources:
        if trial in (source.trial, source.session):
            return source
    names = list(dict.fromkeys(name for source in sources for name in (source.trial, source.session) if name))
    alone = " There is only one recording; leave --trial out." if len(sources) == 1 else ""
    advice = did_you_mean(trial, names) + alone
    raise StudyError([f"{sources[0].subject} has no trial '{trial}'.{advice}"], source=study)
