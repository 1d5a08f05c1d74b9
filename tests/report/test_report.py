"""The page as a whole."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from limbeck.errors import DataError
from limbeck.report import StudyRecord, page, words, write_report

VOID = {"meta", "br", "wbr", "hr", "img", "link", "input"}
HOSTILE = '<script>alert("1")</script> & $x$ \'"><img src=x onerror=alert(2)>'


class Reader(HTMLParser):
    """Collects what tests ask about, and fails on tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def values(self, name: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(name)) is not None]


def written(tmp_path, study) -> tuple[str, Reader]:
    text = write_report(tmp_path / "report.html", *study).read_text(encoding="utf-8")
    return text, Reader(text)


CASES = {
    "one variant": {},
    "three arms": {"arms": ("teacher", "alone", "taught")},
    "sweep": {"variants": ("labelled=3", "labelled=6"), "subjects": 8},
    "trace": {"classes": ()},
    "three classes, many subjects": {"classes": ("none", "mild", "strong"), "subjects": 87},
    "nothing compared": {"arms": ("teacher", "baseline/majority"), "compare": False},
}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_study_gives_a_page_that_stands_alone(tmp_path, make_study, case):
    text, reader = written(tmp_path, make_study(**CASES[case], epochs=12))
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in reader.tags}
    assert all(value.startswith("#") for name in ("href", "src", "xlink:href") for value in reader.values(name))
    assert "url(http" not in text
    assert "@import" not in text
    assert "nan" not in re.findall(r"[\w.]+", reader.words.lower())


@pytest.mark.parametrize("case", CASES)
def test_identifiers_are_unique_and_every_link_leads_somewhere(tmp_path, make_study, case):
    text, reader = written(tmp_path, make_study(**CASES[case], epochs=12))
    identifiers = reader.values("id")
    assert len(identifiers) == len(set(identifiers))
    targets = {value[1:] for value in reader.values("href")} | set(re.findall(r"url\(#([^)]+)\)", text))
    targets |= {target for value in reader.values("aria-labelledby") for target in value.split()}
    assert targets <= set(identifiers)


def test_page_holds_every_part_in_order(tmp_path, make_study):
    record, judgements, history = make_study()
    _, reader = written(tmp_path, (record, judgements, history))
    parts = [
        record.question, judgements[0].verdicts[0].sentence, "What teaching gained", "Protocol",
        "5 folds over subjects", "taught against alone",
        "Scores of the arms", "Diagnostics", "Baselines and confounds", "Confusion matrices",
        "Learning curves", "The smallest gain these subjects could show", "What was left out", "S09/EDA.csv",
        "Environment", "2.13.0", "The study", "alone: {inputs: [eda]}",
    ]  # fmt: skip
    place = 0
    for part in parts:
        place = reader.words.index(part, place)


def test_verdict_names_what_is_supported_and_what_is_not(tmp_path, make_study):
    record, judgements, history = make_study(variants=("a", "b"))
    verdicts = [dataclasses.replace(judgement.verdicts[0], claim=claim) for judgement, claim in
                zip(judgements, (True, False), strict=True)]  # fmt: skip
    judgements = [dataclasses.replace(judgement, verdicts=(verdict,)) for judgement, verdict in
                  zip(judgements, verdicts, strict=True)]  # fmt: skip
    _, reader = written(tmp_path, (record, judgements, history))
    assert "Teaching helped in 1 of 2 comparisons." in reader.words
    shown = [
        attrs.get("class", "") for tag, attrs in reader.tags if tag == "li" and "verdict" in attrs.get("class", "")
    ]
    assert shown == ["verdict supported", "verdict"]


def test_comparisons_without_their_controls_are_not_claimable_and_not_counted(tmp_path, make_study):
    record, judgements, history = make_study(variants=("a", "b", "c"), epochs=3)
    bare = [arm for arm in judgements[0].arms if arm != "taught/scrambled"]
    _, (other,), _ = make_study(variants=("c",), arms=bare)
    _, reader = written(tmp_path, (record, [*judgements[:2], other], history))
    assert "of 2 comparisons" in reader.words or "all 2 comparisons" in reader.words
    assert "1 more cannot be claimed." in reader.words
    assert "p of the claim not claimable scrambled was not run" in reader.words
    assert "after Holm over 3 claims" in reader.words  # what the verdicts say, not the number of verdicts
    _, reader = written(tmp_path, (record, [other], history))
    assert "Nothing can be claimed" in reader.words


def test_the_level_of_the_smallest_gain_is_said(tmp_path, make_study):
    _, reader = written(tmp_path, make_study(epochs=3))
    assert "at 0.05/3, against alone; the claim also asks for the controls" in reader.words
    assert "at a level of 0.05/3, that which Holm asks of the first of the claims" in reader.words


def test_a_smallest_gain_that_nothing_tells_is_a_dash(tmp_path, make_study):
    record, (judgement,), history = make_study(epochs=3)
    verdict = dataclasses.replace(judgement.verdicts[0], smallest_gain=np.nan)
    _, reader = written(tmp_path, (record, [dataclasses.replace(judgement, verdicts=(verdict,))], history))
    assert "smallest detectable gain – 22 subjects" in reader.words


def test_best_reachable_scores_of_a_simulated_corpus_stand_with_the_data(tmp_path, make_study):
    data = {"name": "simulated", "ceilings": {"student: eda": 0.79, "teacher: eda+eeg": 0.9412}}
    _, reader = written(tmp_path, make_study(data=data, epochs=3))
    assert "best reachable score student: eda 0.790 teacher: eda+eeg 0.941" in reader.words


def test_arms_of_controls_are_folded_behind_those_of_the_study(tmp_path, make_study):
    text, reader = written(tmp_path, make_study(epochs=3))
    place = text.index("5 more: controls, diagnostics and students with all labels")
    assert text.index("An arm is one way of training") < place < text.index("Each is trained as the arm before")
    assert reader.words.count("An arm is one way of training") == 1


def test_a_model_that_holds_no_parameters_was_fitted(tmp_path, make_study):
    record, *rest = make_study()
    sizes = {"teacher": 0, "alone": None}
    arms = [{**row, "parameters": sizes.get(row["arm"], row["parameters"])} for row in record.arms]
    _, reader = written(tmp_path, (dataclasses.replace(record, arms=arms), *rest))
    shown = reader.words[reader.words.index("An arm is one way of training") :]
    assert re.search(r"teacher .*?encoder fitted", shown)
    assert "0 parameters" not in reader.words.replace("3,412 parameters", "")
    assert "3,412 parameters" in shown


def chosen_arms(choices):
    """Return the row of an arm that chose a weight in every fold, and of one that chose nothing."""
    places = [{"repetition": 0, "fold": fold, "seed": 0, "tested": f"S0{fold + 1}"} for fold in range(len(choices))]
    rows = [{**place, "chosen": chosen} for place, chosen in zip(places, choices, strict=True)]
    counts = {name: choices.count(name) for name in ("weight=0.5", "weight=0.1")}
    taught = {"arm": "taught", "model": "mlp", "loss": "1 hard + 0.5 soft", "chosen": counts, "choices": rows}
    return [{**taught, "besides": ["steps: feedback (mode ce_only)", "predicts with slow"]}, {"arm": "alone"}]


def with_arms(tmp_path, make_study, arms) -> str:
    """Return the page of a study whose record tells this of its arms."""
    record, *rest = make_study(arms=("teacher", "alone", "taught"), epochs=3)
    return written(tmp_path, (dataclasses.replace(record, arms=arms), *rest))[0]


def test_what_was_chosen_is_said_of_how_many_folds_and_where(tmp_path, make_study):
    arms = chosen_arms(["weight=0.5", "weight=0.5", "weight=0.1"])
    text = with_arms(tmp_path, make_study, arms)
    assert "chosen: weight=0.5 in 2 of 3 folds, weight=0.1 in 1" in text
    assert "what is shown is what was chosen most often" in text
    table = text[text.index('<table class="choices">') :].partition("</table>")[0]
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", table)
    assert cells == ["fold", "tested on", "taught", *("1", "S01", "weight=0.5"), *("2", "S02", "weight=0.5"),
                     *("3", "S03", "weight=0.1")]  # fmt: skip
    never = with_arms(tmp_path, make_study, chosen_arms(["weight=0.5"]))
    assert "chosen: weight=0.5 in 1 of 1 fold, weight=0.1 in none" in never


def test_of_many_folds_is_not_said_what_each_has_chosen(tmp_path, make_study):
    arms = chosen_arms(["weight=0.5"] * 31)
    text = with_arms(tmp_path, make_study, arms)
    assert "in 31 of 31 folds" in text
    assert '<table class="choices">' not in text


def test_what_makes_an_arm_besides_model_and_loss_stands_in_the_table(tmp_path, make_study):
    arms = chosen_arms(["weight=0.5"])
    text = with_arms(tmp_path, make_study, arms)
    assert "steps: feedback (mode ce_only); predicts with slow</td>" in text
    assert ">besides</th>" not in written(tmp_path, make_study(epochs=3))[0]


def test_the_overview_names_the_ceiling_of_each_row(tmp_path, make_study):
    record, judgements, history = make_study(variants=("labelled=3", "labelled=all"), epochs=3)
    bare = [arm for arm in judgements[0].arms if arm != "alone/all_labels"]
    _, (other, _), _ = make_study(variants=("labelled=all", "x"), arms=bare, epochs=3)
    text, _ = written(tmp_path, (record, (judgements[0], other), history))
    table = text[text.index('<table class="overview">') :].partition("</table>")[0]
    assert '<span class="sub">alone/<wbr>all_<wbr>labels</span>' in table
    assert '<span class="sub">teacher</span>' in table


def test_the_claim_asks_for_controls_only_where_they_were_run(tmp_path, make_study):
    assert "The claim also asks for the controls" in written(tmp_path, make_study(epochs=3))[0]
    assert "also asks for the controls" not in written(tmp_path, make_study(**CASES["three arms"], epochs=3))[0]


def test_a_reference_of_several_comparisons_has_no_single_gain(make_study):
    _, (judgement,), _ = make_study()
    verdict = judgement.verdicts[0]
    rows = tuple(dataclasses.replace(row, arm="other") for row in verdict.differences if row.kind == "teacher")
    second = dataclasses.replace(verdict, differences=rows)
    assert "teacher" in words.against(judgement)
    both = words.against(dataclasses.replace(judgement, verdicts=(verdict, second)))
    assert "teacher" not in both
    assert "alone" in both


def test_means_say_over_how_many_subjects_they_are(tmp_path, make_study):
    record, (judgement,), history = make_study(arms=("teacher", "alone", "taught"), epochs=3)
    table = judgement.per_subject.copy()
    table.loc["S01"] = np.nan  # one class only: tested, but without a score
    _, reader = written(tmp_path, (record, [dataclasses.replace(judgement, per_subject=table)], history))
    assert "Mean over 21 subjects" in reader.words


def test_gain_interval_and_corrected_p_stand_in_the_tables(tmp_path, make_study):
    record, judgements, history = make_study()
    row = next(row for row in judgements[0].verdicts[0].differences if row.kind == "own_input")
    exact = dataclasses.replace(row, p_holm=0.0377)
    verdict = judgements[0].verdicts[0]
    differences = tuple(exact if held is row else held for held in verdict.differences)
    verdict = dataclasses.replace(verdict, differences=differences, smallest_gain=0.0312)
    _, reader = written(tmp_path, (record, [dataclasses.replace(judgements[0], verdicts=(verdict,))], history))
    assert "0.038" in reader.words
    assert f"+{100 * row.gain.estimate:.1f} [{100 * row.gain.low:.1f}, {100 * row.gain.high:.1f}]" in reader.words
    assert "3.1 points" in reader.words


def test_hostile_names_inject_nothing(tmp_path, make_study):
    record, judgements, history = make_study(arms=("teacher", "alone", "taught"), variants=(HOSTILE, "b"))
    rename = {"alone": HOSTILE}
    held = []
    for judgement in judgements:
        verdict = judgement.verdicts[0]
        comparison = dataclasses.replace(verdict.comparison, alone=HOSTILE)
        differences = tuple(
            dataclasses.replace(row, other=rename.get(row.other, row.other)) for row in verdict.differences
        )
        verdict = dataclasses.replace(verdict, comparison=comparison, differences=differences, sentence=HOSTILE)
        table = judgement.per_subject.rename(columns=rename)
        table.index = [f"{HOSTILE}{number}" for number in range(len(table))]
        arms = {rename.get(arm, arm): dataclasses.replace(score, arm=rename.get(arm, arm))
                for arm, score in judgement.arms.items()}  # fmt: skip
        held.append(
            dataclasses.replace(
                judgement, arms=arms, per_subject=table, classes=(HOSTILE, "b"), warnings=(HOSTILE,),
                verdicts=(verdict,),
            )
        )  # fmt: skip
    history = history.replace({"arm": rename})
    strings = dict.fromkeys(("study", "question", "definition", "command"), HOSTILE)
    record = dataclasses.replace(
        record, **strings, data={HOSTILE: {HOSTILE: HOSTILE}}, protocol={HOSTILE: [HOSTILE]}, warnings=[HOSTILE],
        arms=[{"variant": HOSTILE, "arm": HOSTILE, "model": HOSTILE, "loss": {HOSTILE: HOSTILE}, "optimistic": True}],
        left_out=[{"what": HOSTILE, "why": HOSTILE}], environment={"packages": {HOSTILE: HOSTILE}, HOSTILE: HOSTILE},
        timing={"finished": HOSTILE},
    )  # fmt: skip
    text, reader = written(tmp_path, (record, held, history))
    assert "<script" not in text
    assert "<img" not in text
    assert not any(name.startswith("on") for _, attrs in reader.tags for name in attrs)
    assert reader.words.count('alert("1")') > 20


def test_names_that_are_no_text_still_give_a_page(tmp_path, make_study):
    odd = "caf\udce9 \x00\x1b[31m \ufffe 被験者"
    record, judgements, history = make_study(study=odd, left_out=[{"what": odd, "why": odd}])
    table = judgements[0].per_subject.rename(index={"S01": odd})
    text, _ = written(tmp_path, (record, [dataclasses.replace(judgements[0], per_subject=table)], history))
    assert "被験者" in text


def test_figures_that_do_not_exist_are_dashes(tmp_path, make_study):
    record, judgements, history = make_study(subjects=3)
    verdict = judgements[0].verdicts[0]
    nothing = dataclasses.replace(verdict.differences[0].gain, estimate=np.nan, low=np.nan, high=np.nan)
    differences = tuple(
        dataclasses.replace(row, gain=nothing, p_sign_flip=np.nan, p_wilcoxon=np.nan, p_holm=np.nan, effect_size=np.nan,
                            standard_error=np.nan, posterior=(np.nan,) * 3)
        for row in verdict.differences
    )  # fmt: skip
    gap = dataclasses.replace(verdict.gap, value=None, why_undefined="too few subjects to say")
    verdict = dataclasses.replace(
        verdict, differences=differences, p_claim=np.nan, p_claim_holm=np.nan, smallest_gain=np.inf, gap=gap
    )
    table = judgements[0].per_subject.copy()
    table["taught"] = np.nan
    judgement = dataclasses.replace(judgements[0], verdicts=(verdict,), per_subject=table)
    _, reader = written(tmp_path, (record, [judgement], history))
    assert "nan" not in reader.words.lower().split()
    assert "inf" not in reader.words.lower().split()
    assert "too few subjects to say" in reader.words
    assert "none: too few subjects" in reader.words


def test_a_class_that_nobody_showed_has_no_shares(tmp_path, make_study):
    record, judgements, history = make_study(arms=("teacher",), compare=False, classes=("rest", "task"))
    score = dataclasses.replace(judgements[0].arms["teacher"], confusion=np.array([[30.0, 10.0], [0.0, 0.0]]))
    _, reader = written(tmp_path, (record, [dataclasses.replace(judgements[0], arms={"teacher": score})], history))
    matrix = reader.words[reader.words.index("true \\ said") :]
    assert matrix.startswith("true \\ said rest task rest 75 % 30 25 % 10 task – 0 – 0")


QUALITY = [
    {"variant": "", "modality": "bvp", "windows": 4210, "mean": 0.568, "below": 0.41, "worst": "peaks",
     "kinds": {"flat": 1.0, "clipped": 1.0, "missing": 1.0, "motion": 0.757, "peaks": 0.616},
     "subjects": {"S01": {"mean": 0.3, "below": 0.9}, "S02": {"mean": 0.8, "below": 0.0}}},
    {"variant": "", "modality": "temp", "windows": 4210, "mean": 1.0, "below": 0.0, "worst": "",
     "kinds": {"flat": 1.0, "missing": 1.0, "motion": 1.0}, "subjects": {"S01": {"mean": 1.0, "below": 0.002}}},
]  # fmt: skip


def test_signal_quality_stands_by_signal_and_by_subject(tmp_path, make_study):
    text = written(tmp_path, make_study(quality=QUALITY))[1].words
    section = text[text.index("Signal quality", text.index("Arms")) :]
    section = section[: section.index("What was left out")]
    assert "1 means that nothing is wrong" in section
    assert "not flat not clipped there still plausible beats or breaths" in section
    assert "bvp 4,210 0.568 41 % 1.000 1.000 1.000 0.757 0.616" in section
    assert "temp 4,210 1.000 none 1.000 – 1.000 1.000 –" in section
    assert "S01 0.300 90 % 1.000 < 1 %" in section
    assert "S02 0.800 none –" in section
    assert "not mains" not in section  # it applies to none of these


def test_variants_share_a_row_of_quality_where_they_agree(tmp_path, make_study):
    swept = [{**row, "variant": variant} for variant in ("n=3", "n=6") for row in QUALITY]
    swept[-1] = {**swept[-1], "mean": 0.9}
    text = written(tmp_path, make_study(variants=("n=3", "n=6"), quality=swept))[1].words
    assert text.count("bvp 4,210 0.568") == 1
    assert "temp in n=3 4,210 1.000" in text
    assert "temp in n=6 4,210 0.900" in text


def test_without_quality_there_is_no_section_of_it(tmp_path, make_study):
    assert "Signal quality" not in written(tmp_path, make_study())[0]


def test_long_list_of_what_was_left_out_is_folded(tmp_path, make_study):
    items = [{"what": f"S{number:02d}/EDA.csv", "why": "empty"} for number in range(30)]
    text, reader = written(tmp_path, make_study(left_out=items, arms=("teacher", "alone", "taught")))
    assert "30 items" in reader.words
    assert "22 more" in reader.words
    assert all(item["what"] in text for item in items)
    assert text.index("S07/EDA.csv") < text.index("22 more") < text.index("S08/EDA.csv")


def test_warnings_name_the_variants_they_hold_for_and_come_once(make_study):
    record, judgements, _ = make_study(variants=("a", "b"), warnings=["from the run"])
    judgements = [dataclasses.replace(held, warnings=text) for held, text in
                  zip(judgements, (("clock", "both"), ("both",)), strict=True)]  # fmt: skip
    assert page.cautions(record, judgements) == ["from the run", "a: clock", "both"]


def test_transductive_and_optimistic_are_warned_of_even_when_nobody_did(make_study):
    record, judgements, _ = make_study(variants=("a", "b"))
    record = dataclasses.replace(
        record, protocol={"normalisation": {"a": "transductive", "b": {"mode": "train"}}},
        arms=[{"variant": "b", "arm": "alone", "optimistic": True}],
    )  # fmt: skip
    said = page.cautions(record, judgements)
    assert said[0].startswith("Normalisation is transductive (a):")
    assert said[1].startswith("Optimistic: alone (b)")
    told = dataclasses.replace(record, warnings=["Transductive normalisation.", "alone is optimistic."])
    assert page.cautions(told, judgements) == ["Transductive normalisation.", "alone is optimistic."]


def test_claim_without_credit_control_is_warned_of(make_study):
    record, judgements, _ = make_study(arms=("teacher", "alone", "taught"))
    assert any("No credit control" in text for text in page.cautions(record, judgements))


def test_history_without_a_column_names_it(tmp_path, make_study):
    record, judgements, history = make_study(arms=("teacher", "alone", "taught"))
    with pytest.raises(DataError, match=r"lacks the columns \['epoch'\]"):
        write_report(tmp_path / "report.html", record, judgements, history.drop(columns="epoch"))


def test_no_history_and_no_judgement_still_give_a_page(tmp_path, make_study):
    record, judgements, _ = make_study(arms=("teacher", "alone", "taught"))
    _, reader = written(tmp_path, (record, judgements, pd.DataFrame()))
    assert "No learning curve was recorded." in reader.words
    _, reader = written(tmp_path, (record, [], pd.DataFrame()))
    assert "this run has no predictions" in reader.words


def test_report_that_fails_leaves_the_old_one_and_no_rest(tmp_path, make_study, monkeypatch):
    target = tmp_path / "report.html"
    target.write_text("old")

    def fail(*_args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(target, *make_study(arms=("teacher", "alone", "taught"), epochs=3))
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert target.read_text() == "old"


def test_folder_takes_a_report_html(tmp_path, make_study):
    study = make_study(arms=("teacher", "alone", "taught"), epochs=3)
    assert write_report(tmp_path, *study) == tmp_path / "report.html"


def test_record_survives_json(make_study):
    record = make_study()[0]
    assert StudyRecord(**json.loads(json.dumps(dataclasses.asdict(record)))) == record


def test_same_study_gives_the_same_bytes(tmp_path, make_study):
    study = make_study(epochs=5)
    first, second = (write_report(tmp_path / name, *study).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


def test_large_sweep_stays_small_and_quick(tmp_path, make_study):
    study = make_study(variants=[f"labelled={n}, at {place}" for n in (3, 6, "all") for place in ("Fp1", "T3")])
    started = time.perf_counter()
    text, reader = written(tmp_path, study)
    assert time.perf_counter() - started < 15
    assert len(text.encode()) < 3_000_000
    assert "All comparisons at a glance" in reader.words


def test_settings_shared_by_variants_are_said_once(tmp_path, make_study):
    names = ("a", "b", "c")
    protocol = {
        "seeds": list(range(30)),
        "normalisation": {"a": "train", "b": "train", "c": "transductive"},
        "split": dict.fromkeys(names, "leave one subject out"),
    }
    arms = ("teacher", "alone", "taught")
    _, reader = written(tmp_path, make_study(variants=names, arms=arms, protocol=protocol, epochs=3, subjects=6))
    assert "0 to 29" in reader.words
    assert re.search(r"normalisation train a; b transductive c", reader.words)
    assert "folds leave one subject out judged by" in reader.words
