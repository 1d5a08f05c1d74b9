"""Only the subjects that a study names are read, cut and judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import pytest

from limbeck import datasets
from limbeck.errors import StudyError
from limbeck.recording import Corpus, Recording, Source
from limbeck.study import Plan

Definition = Callable[..., dict[str, Any]]
Mistakes = Callable[..., list[str]]
PlanOf = Callable[..., Plan]
Train = Callable[..., pd.DataFrame]


def subjects_of(plan: Plan) -> list[str]:
    return list(dict.fromkeys(plan.variants[0].table["subject"]))


def naming(tiny: Definition, subjects: Any) -> dict[str, Any]:
    return tiny(data={"subjects": subjects}, protocol={"split": 2, "labelled": "all"})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (["S002..S005"], ["S002", "S003", "S004", "S005"]),
        ("S002..S005", ["S002", "S003", "S004", "S005"]),
        (["S005..S006", "S001..S002"], ["S001", "S002", "S005", "S006"]),
        (["S006", "S001", "S003..S004", "S003"], ["S001", "S003", "S004", "S006"]),
        (["S002..S002", "S004", "S006", "S001"], ["S001", "S002", "S004", "S006"]),
    ],
)
def test_subjects_are_those_named_in_the_order_of_the_corpus(
    tiny: Definition, plan_of: PlanOf, written: Any, meant: list[str]
) -> None:
    plan = plan_of(naming(tiny, written))
    assert subjects_of(plan) == meant
    assert plan.variants[0].n_subjects == len(meant)
    assert {s for fold in plan.variants[0].folds for s in fold.test_subjects} == set(meant)


def test_recordings_of_others_are_not_even_read(
    tiny: Definition, plan_of: PlanOf, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, read = datasets.load, []

    def watched(*args: Any, **options: Any) -> Corpus:
        corpus = load(*args, **options)

        def noted(source: Source) -> Recording:
            read.append(source.subject)
            return source.read()

        sources = [
            # another option makes another content, so that no cut of an earlier test is found
            replace(s, read=partial(noted, s), options={**s.options, "watched": True})
            for s in corpus.sources
        ]
        return Corpus(corpus.name, tuple(sources), corpus.left_out, corpus.truth)

    monkeypatch.setattr(datasets, "load", watched)
    table = train(plan_of(naming(tiny, ["S002..S005"])))
    assert set(read) == {"S002", "S003", "S004", "S005"}
    assert set(table["subject"].astype(str)) == set(read)


def test_the_same_subjects_make_the_same_stages_however_they_are_named(tiny: Definition, plan_of: PlanOf) -> None:
    one, two, other = (
        {name: stage.key for name, stage in plan_of(naming(tiny, named)).variants[0].stages.items()}
        for named in (["S001..S004"], ["S003", "S004", "S001..S002"], ["S002..S005"])
    )
    assert one == two
    assert not set(one.values()) & set(other.values())


def test_every_name_that_nobody_has_is_told(tiny: Definition, plan_of: PlanOf) -> None:
    with pytest.raises(StudyError) as caught:
        plan_of(naming(tiny, ["S001", "S0O2", "S003..S099", "S005..S004"]))
    found = "\n".join(caught.value.mistakes)
    assert all(mistake.startswith("data.subjects: ") for mistake in caught.value.mistakes)
    assert "There is no subject 'S0O2'. Did you mean 'S002'?" in found
    assert "There is no subject 'S099'." in found
    assert "'S005..S004' runs backwards: 'S004' stands before 'S005' in this corpus." in found


@pytest.mark.parametrize("written", [[], [3], {"S001": "S002"}, 3, [["S001"]]])
def test_what_are_no_names_of_subjects_is_refused(tiny: Definition, mistakes: Mistakes, written: Any) -> None:
    assert any(mistake.startswith("data.subjects") for mistake in mistakes(naming(tiny, written)))


def test_subjects_can_be_swept(tiny: Definition, plan_of: PlanOf) -> None:
    definition = naming(tiny, None)
    definition["sweep"] = {"data.subjects": [["S001..S004"], ["S003..S006"]]}
    first, second = plan_of(definition).variants
    assert set(first.table["subject"]) == {"S001", "S002", "S003", "S004"}
    assert set(second.table["subject"]) == {"S003", "S004", "S005", "S006"}
