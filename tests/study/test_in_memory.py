"""Studies of arrays that a program hands over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import limbeck
from limbeck.errors import StudyError
from limbeck.recording import Corpus
from limbeck.study import Run, load_study, make_plan, parse_study, run_study
from limbeck.study.runner import run_folder

Definition = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def study(tiny: Definition) -> Callable[..., dict[str, Any]]:
    """The tiny study on arrays, without comparisons: valence, split at the subject's median."""

    def make(**changes: Any) -> dict[str, Any]:
        definition = tiny(**{"data": None, "target": None, "compare": [], **changes})
        return {**definition, "data": {"corpus": "arrays"}, "target": rated("valence")}

    return make


def rated(name: str) -> dict[str, str]:
    return {"name": name, "ratings": name, "threshold": "subject_median"}


@pytest.fixture(scope="module")
def finished(study: Definition, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A study of two ratings, run to its end."""
    definition = {**study(refit="all"), "target": [rated("valence"), rated("arousal")]}
    return run_study(parse_study(definition), out=tmp_path_factory.mktemp("finished"), corpus=arrays())


def arrays(seed: int = 0, subjects: int = 6, trials: int = 6) -> Corpus:
    """Trials of 4 s in which the mean of the temperature tells valence, that of skin conductance arousal."""
    rng = np.random.default_rng(seed)
    count = subjects * trials
    valence, arousal = rng.uniform(1, 9, size=(2, count))
    return limbeck.from_arrays(
        signals={
            "eda": arousal[:, None, None] + rng.normal(size=(count, 1, 16)),
            "temp": 30 + valence[:, None, None] + rng.normal(size=(count, 1, 16)),
        },
        rates={"eda": 4, "temp": 4},
        subjects=np.repeat([f"p{k}" for k in range(subjects)], trials).tolist(),
        labels={"valence": valence.tolist(), "arousal": arousal.tolist()},
        name="ours",
    )


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(StudyError) as caught:
        call()
    return "\n".join(caught.value.mistakes)


def test_a_study_runs_on_arrays(finished: Run) -> None:
    assert finished.record.data["name"] == "ours"
    assert finished.record.data["classes"] == {f"target={name}": "low 18, high 18" for name in ("valence", "arousal")}
    assert [judgement.variant for judgement in finished.judgements] == ["target=valence", "target=arousal"]
    assert any("more or less than usual for them" in warning for warning in finished.record.warnings)
    truth = finished.predictions.query("arm == 'alone' and variant == 'target=arousal'")["truth"]
    assert truth.mean() == 0.5
    assert (finished.path / "deployed" / "target-valence" / "model.json").is_file()


@pytest.mark.slow
def test_workers_get_the_arrays_and_change_nothing(finished: Run, tmp_path: Path) -> None:
    again = run_study(load_study(finished.path / "study.yaml"), out=tmp_path, corpus=arrays(), jobs=2)
    columns = ["variant", "arm", "window", "fold", "truth", "prediction"]
    tables = [run.predictions[columns].astype(str).sort_values(columns).to_numpy() for run in (finished, again)]
    np.testing.assert_array_equal(*tables)


def test_runs_on_other_arrays_never_meet(study: Definition, tmp_path: Path) -> None:
    first, again, other = (make_plan(parse_study(study()), tmp_path, corpus=arrays(seed)) for seed in (0, 0, 1))
    assert first.study.resolved == again.study.resolved
    assert first.study.resolved["data"]["fingerprint"] != other.study.resolved["data"]["fingerprint"]
    keys = [{stage.key for variant in plan.variants for stage in variant.stages.values()} for plan in (first, again)]
    assert keys[0] == keys[1]
    assert not keys[0] & {stage.key for variant in other.variants for stage in variant.stages.values()}


def test_what_a_run_wrote_runs_again_on_the_same_arrays_only(finished: Run, study: Definition) -> None:
    written, out = load_study(finished.path / "study.yaml"), finished.path.parent
    again = make_plan(written, out, corpus=arrays())
    assert run_folder(again.study, out) == finished.path
    assert again.estimate(1).done == again.estimate(1).tasks
    text = refused(lambda: make_plan(written, out, corpus=arrays(1)))
    assert "data.fingerprint: the study was run on other arrays than 'ours'" in text


def test_arrays_without_a_program_are_refused_with_what_to_do(study: Definition, tmp_path: Path) -> None:
    text = refused(lambda: make_plan(parse_study(study()), tmp_path))
    assert "run_study(study, corpus=limbeck.from_arrays(...))" in text
    assert "corpus: csv" in text


def test_a_corpus_for_a_study_that_reads_its_own_is_refused(tiny: Definition, tmp_path: Path) -> None:
    text = refused(lambda: make_plan(parse_study(tiny()), tmp_path, corpus=arrays()))
    assert "the study reads 'simulated'; write data: {corpus: arrays}" in text


def test_arrays_have_no_root_and_no_options(study: Definition, tiny: Definition) -> None:
    definition = {**study(), "data": {"corpus": "arrays", "root": "here", "options": {"subjects": 3}}}
    text = refused(lambda: parse_study(definition))
    assert "data.root: arrays in memory have no root" in text
    assert "data.options: arrays in memory have no options" in text
    text = refused(lambda: parse_study(tiny(data={"fingerprint": "0"})))
    assert "data.fingerprint: it is of the corpus arrays alone" in text
