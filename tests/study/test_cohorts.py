"""The whole road on cohorts whose truth is known: it claims what is there, and nothing that is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import limbeck
from limbeck.evaluation.statistics import bootstrap_interval

STUDIES = Path(__file__).resolve().parents[2] / "studies"


def verdict_of(name: str, seed: int, out: Path) -> tuple[bool, float, float]:
    """Return claim, p of taught against alone, and gap closed (NaN when undefined) on another cohort."""
    overrides = [f"data.options.seed={seed}", f"protocol.seed={seed}", "engine.backend=stacked"]
    (judgement,) = limbeck.run(STUDIES / f"{name}.yaml", out=out, overrides=overrides).judgements
    (verdict,) = judgement.verdicts
    (over_alone,) = [difference for difference in verdict.differences if difference.kind == "alone"]
    closed = verdict.gap.value if verdict.gap else None
    return verdict.claim, over_alone.p_sign_flip, closed.estimate if closed else np.nan


@pytest.mark.slow
@pytest.mark.parametrize("seed", [40, 41])
def test_teaching_helps_where_the_privileged_sensors_know_more(seed: int, tmp_path: Path) -> None:
    claim, _, closed = verdict_of("demo", seed, tmp_path)
    assert claim
    assert closed > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["privileged_useless", "no_signal"])
def test_nothing_is_claimed_where_there_is_nothing_to_teach(name: str, tmp_path: Path) -> None:
    found = [verdict_of(name, seed, tmp_path) for seed in range(40, 50)]
    assert not any(claim for claim, _, _ in found)
    # Of ten true nulls, three below 0.05 happen once in a hundred times.
    assert sum(p < 0.05 for _, p, _ in found) < 3


@pytest.mark.slow
def test_two_modalities_beat_the_student_and_what_they_teach_it_is_no_loss_over_five_seeds(tmp_path: Path) -> None:
    overrides = ["distil.recipes=[hinton]", "engine.backend=stacked"]
    (judgement,) = limbeck.run(STUDIES / "recipes.yaml", out=tmp_path, overrides=overrides).judgements
    teacher, alone = (judgement.per_subject[arm].to_numpy() for arm in ("teacher", "alone"))
    assert bootstrap_interval(teacher - alone).low > 0.1
    (verdict,) = judgement.verdicts
    gain = verdict.differences[0].gain
    assert gain.estimate > 0
    assert gain.low > -0.01  # what the study counts as no difference
