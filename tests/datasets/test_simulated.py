"""The simulated cohort: its signals say what the truth says, and its ceilings are the best that can be reached."""

from __future__ import annotations

import json
import math
import pickle
import time
from typing import Any

import numpy as np
import pytest
from scipy.signal import find_peaks
from scipy.stats import norm

from limbeck.datasets import DATASETS, info, load
from limbeck.datasets import simulated as sim
from limbeck.errors import LimbeckError, StudyError
from limbeck.recording import MODALITIES, UNITS, Recording

EVERY = list(sim.RATES)


def blocks_of(recording: Recording, modality: str, seconds: float = 8.0) -> np.ndarray:
    """Cut a signal into trials: (block, channel, time), float64."""
    signal = recording.signals[modality]
    length = round(seconds * signal.rate)
    return signal.data.astype(np.float64).reshape(signal.data.shape[0], -1, length).transpose(1, 0, 2)


def log_band_power(x: np.ndarray, rate: float, low: float, high: float) -> np.ndarray:
    taper = np.hanning(x.shape[-1] + 1)[:-1]
    power = np.abs(np.fft.rfft((x - x.mean(axis=-1, keepdims=True)) * taper)) ** 2
    frequency = np.fft.rfftfreq(x.shape[-1], 1 / rate)
    return np.log(power[..., (frequency >= low) & (frequency < high)].sum(axis=-1))


def mean_interval(x: np.ndarray) -> float:
    peaks, _ = find_peaks(x, height=0.5, distance=40)
    return float(np.diff(peaks).mean()) / sim.RATES["ecg"]


def response_amplitude(x: np.ndarray, seconds: float) -> np.ndarray:
    template = sim.scr_template(seconds, sim.RATES["eda"])
    design = np.stack([template, np.ones(len(template)), np.arange(len(template))], axis=1)
    return np.linalg.lstsq(design, x.T, rcond=None)[0][0]


def statistic(recording: Recording, modality: str, seconds: float = 8.0) -> np.ndarray:
    """Measure what the modality carries, from the raw signal of each trial, in units of the feature: (block,)."""
    x = blocks_of(recording, modality, seconds)
    if modality == "eeg":
        raw = log_band_power(x, sim.RATES["eeg"], 13, 30).mean(axis=1)
    elif modality == "ecg":
        raw = -np.log([mean_interval(trial[0]) for trial in x])
    elif modality == "eda":
        raw = np.log(response_amplitude(x[:, 0], seconds))
    elif modality == "temp":
        raw = -x.mean(axis=(1, 2))
    else:
        raw = np.log(x.std(axis=2)).mean(axis=1) * (-1 if modality == "bvp" else 1)
    return raw / sim.GAIN[modality]


def usual_features(recording: Recording, modality: str) -> np.ndarray:
    """Features as a study takes them: log band powers of EEG, plain statistics of the rest: (block, feature)."""
    x, rate = blocks_of(recording, modality), sim.RATES[modality]
    if modality == "eeg":
        bands = ((1, 4), (4, 8), (8, 13), (13, 30), (30, 40))
        return np.concatenate([log_band_power(x, rate, low, high) for low, high in bands], axis=1)
    times = np.arange(x.shape[-1]) - (x.shape[-1] - 1) / 2
    difference = np.sqrt(np.square(np.diff(x)).mean(axis=-1))
    parts = [x.mean(-1), x.std(-1), x.min(-1), x.max(-1), np.ptp(x, -1), x @ times, difference]
    return np.concatenate(parts, axis=1)


def usual_table(cohort: sim.Cohort, modalities: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features (normalised by the rest), labels and subjects of every trial of a cohort."""
    features, labels = [], []
    rest = cohort.rest_trials
    for number in range(cohort.subjects):
        recording = sim.simulate(cohort, number)
        values = np.concatenate([usual_features(recording, name) for name in modalities], axis=1)
        features.append((values[rest:] - values[:rest].mean(axis=0)) / values[:rest].std(axis=0))
        labels.append(sim.draw_latents(cohort, number).label[rest:])
    subjects = np.repeat(np.arange(cohort.subjects), cohort.trials)
    return np.concatenate(features), np.concatenate(labels), subjects


def balanced_accuracy(truth: np.ndarray, prediction: np.ndarray) -> float:
    return float(np.mean([(prediction[truth == code] == code).mean() for code in (0, 1)]))


def held_out_score(x: np.ndarray, y: np.ndarray, subject: np.ndarray, labelled: int | None, draws: int) -> float:
    """Leave one subject out; train a logistic regression on all others, or on a random few of them."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    scores = []
    for _ in range(draws):
        for left_out in np.unique(subject):
            others = np.setdiff1d(subject, left_out)
            train = np.isin(subject, others if labelled is None else rng.permutation(others)[:labelled])
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300)).fit(x[train], y[train])
            test = subject == left_out
            scores.append(balanced_accuracy(y[test], model.predict(x[test])))
    return float(np.mean(scores))


# ------------------------------------------------------------------------------------------------------------ signals


@pytest.mark.parametrize("modality", EVERY)
def test_the_statistic_of_a_trial_is_the_feature(modality: str) -> None:
    cohort = sim.cohort(modalities=[modality])
    for subject in range(3):
        error = statistic(sim.simulate(cohort, subject), modality)
        error = error - sim.draw_latents(cohort, subject).features[modality]
        assert error.std() < 0.05


@pytest.mark.parametrize("seconds", [4.0, 5.5, 20.0])
@pytest.mark.parametrize("modality", ["eeg", "eda", "bvp", "temp"])
def test_the_statistic_is_the_feature_for_other_trial_lengths(modality: str, seconds: float) -> None:
    cohort = sim.cohort(trial_seconds=seconds, trials=20, modalities=[modality])
    error = statistic(sim.simulate(cohort, 0), modality, seconds) - sim.draw_latents(cohort, 0).features[modality]
    assert error.std() < 0.05


def test_alpha_falls_as_much_as_beta_rises() -> None:
    recording = sim.simulate(sim.cohort(), 0)
    x = blocks_of(recording, "eeg")
    alpha, beta = (log_band_power(x, 128, *band).mean(axis=1) for band in ((8, 13), (13, 30)))
    assert np.corrcoef(alpha, beta)[0, 1] < -0.99


def test_electrodes_differ_unless_the_background_is_off() -> None:
    def disagreement(background: float) -> float:
        cohort = sim.cohort(modalities={"eeg": {"background": background}})
        alpha = log_band_power(blocks_of(sim.simulate(cohort, 0), "eeg"), 128, 8, 13)
        return float(alpha.std(axis=1).mean())

    assert disagreement(0.0) < 0.01 < 0.2 < disagreement(1.0)


def test_neurokit_finds_every_heartbeat() -> None:
    import neurokit2

    recording = sim.simulate(sim.cohort(modalities=["ecg"]), 0)
    signal = recording.signals["ecg"]
    simple = find_peaks(signal.data[0], height=0.5, distance=40)[0]
    found = neurokit2.ecg_findpeaks(neurokit2.ecg_clean(signal.data[0].astype(float), 128), 128)["ECG_R_Peaks"]
    distance = np.abs(np.asarray(found)[:, None] - simple).min(axis=0)
    assert (distance <= 3).mean() > 0.98
    assert abs(len(found) - len(simple)) <= 0.02 * len(simple)


def test_a_recording_looks_like_one() -> None:
    recording = sim.simulate(sim.cohort(modalities=EVERY), 0)
    assert list(recording.signals) == [name for name in MODALITIES if name in EVERY]
    for name, signal in recording.signals.items():
        assert signal.data.dtype == np.float32
        assert signal.unit == UNITS[name]
        assert signal.end == recording.duration == 16 + 40 * 8
        assert np.isfinite(signal.data).all()
    assert 5 < recording.signals["eeg"].data.std() < 40
    assert recording.signals["eda"].data.min() > 0
    assert 28 < recording.signals["temp"].data.mean() < 37
    assert 0.9 < np.linalg.norm(recording.signals["acc"].data.mean(axis=1)) < 1.1


def test_trials_follow_the_rest_back_to_back() -> None:
    cohort = sim.cohort(trials=10, balance=0.3, label_noise=0.2, rest_seconds=24)
    recording = sim.simulate(cohort, 4)
    latents = sim.draw_latents(cohort, 4)
    rest, *trials = recording.events
    assert (rest.name, rest.start, rest.end) == ("rest", 0, 24)
    assert [event.start for event in trials] == [24 + 8 * place for place in range(10)]
    assert all(event.end == event.start + 8 for event in trials)
    assert [event.name for event in trials] == [("calm", "aroused")[code] for code in latents.label[3:]]
    assert (latents.state[3:] == 1).sum() == 3
    trace = recording.traces["arousal"]
    for event, arousal in zip(trials, latents.arousal[3:], strict=True):
        inside = (trace.times >= event.start) & (trace.times < event.end)
        np.testing.assert_allclose(trace.values[inside], arousal, rtol=1e-6)


# ------------------------------------------------------------------------------------------------- corpus and options


def test_the_same_seed_gives_the_same_recording_and_another_seed_another() -> None:
    first, again, other = (next(iter(sim.simulated(subjects=1, trials=6, seed=seed))) for seed in (3, 3, 4))
    for name in first.signals:
        np.testing.assert_array_equal(first.signals[name].data, again.signals[name].data)
        assert not np.array_equal(first.signals[name].data, other.signals[name].data)
    assert first.events == again.events != other.events


def test_a_subject_depends_neither_on_the_others_nor_on_other_modalities() -> None:
    few = sim.simulated(subjects=2, trials=6, modalities=["eda"])
    many = sim.simulated(subjects=5, trials=6, modalities=EVERY)
    np.testing.assert_array_equal(few.sources[1].read().signals["eda"].data, many.sources[1].read().signals["eda"].data)
    alike = sim.simulated(subjects=9, trials=6, modalities=["eda"])
    assert few.sources[1].fingerprint() == alike.sources[1].fingerprint() != many.sources[1].fingerprint()


def test_listing_generates_nothing_and_sources_survive_pickling(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sim, "draw_latents", lambda *_: pytest.fail("generated while listing"))
        corpus = sim.simulated(subjects=3, trials=4)
    assert corpus.subjects == ("S001", "S002", "S003")
    copies = pickle.loads(pickle.dumps(corpus.sources))
    np.testing.assert_array_equal(copies[2].read().signals["eeg"].data, corpus.sources[2].read().signals["eeg"].data)
    json.dumps([dict(source.options) for source in corpus.sources])


def test_it_is_registered_and_loads_by_name() -> None:
    corpus = load("simulated", preset="no_signal", seed=2)
    assert corpus.truth["options"]["seed"] == 2
    assert "simulated" in DATASETS
    assert info("simulated").access == "simulated"
    assert set(info("simulated").modalities) == set(sim.RATES)


def test_label_noise_flips_that_share_of_labels() -> None:
    cohort = sim.cohort(trials=400, label_noise=0.2)
    latents = [sim.draw_latents(cohort, subject) for subject in range(10)]
    flipped = np.mean([(each.state != each.label).mean() for each in latents])
    assert flipped == pytest.approx(0.2, abs=0.02)


def test_shift_spreads_subjects_and_nothing_else() -> None:
    def features(shift: float) -> np.ndarray:
        cohort = sim.cohort(trials=10, modalities={"eda": {"shift": shift}})
        return np.stack([sim.draw_latents(cohort, subject).features["eda"] for subject in range(200)])

    none, some = features(0.0), features(2.0)
    difference = some - none
    np.testing.assert_allclose(difference - difference[:, :1], 0, atol=1e-12)
    assert difference[:, 0].std() == pytest.approx(2.0, rel=0.2)


def test_rest_is_neutral() -> None:
    cohort = sim.cohort(rest_seconds=80, latent_spread=0.3)
    rest = np.concatenate([sim.draw_latents(cohort, subject).arousal[:10] for subject in range(60)])
    assert rest.mean() == pytest.approx(0, abs=0.05)
    assert rest.std() == pytest.approx(0.3, rel=0.1)


def test_the_cohort_may_have_no_rest() -> None:
    recording = sim.simulate(sim.cohort(trials=2, rest_seconds=0, modalities=EVERY), 0)
    assert [event.start for event in recording.events] == [0, 8]
    assert all(np.isfinite(signal.data).all() for signal in recording.signals.values())


def test_a_mapping_adds_to_a_preset_and_a_list_selects() -> None:
    changed = sim.cohort("privileged_useless", modalities={"eda": {"noise": 2.0}, "temp": None})
    assert list(changed.modalities) == ["eeg", "eda", "temp"]
    assert changed.modalities["eda"] == sim.Modality(1.0, 2.0, 0.3, 0.2)
    selected = sim.cohort("privileged_useless", modalities=["eda"])
    assert selected.modalities == {"eda": sim.Modality(1.0, 0.8, 0.3, 0.2)}
    assert sim.cohort("privileged_useless", trials=6).trials == 6


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(StudyError) as caught:
        sim.simulated(
            preset="privileged_help",
            subjects=0,
            trials=2.5,
            balance="half",
            label_noise=0.7,
            modalities={"edaa": None, "ecg": {"nois": 1.0, "shift": -1}, "acc": 3},
        )
    text = str(caught.value)
    assert len(caught.value.mistakes) == 9
    assert "Did you mean 'privileged_helps'?" in text
    assert "Did you mean 'eda'?" in text
    assert "modalities.ecg.nois: unknown option. Did you mean 'noise'?" in text
    assert "label_noise: found 0.7; expected a share from 0 to 0.5" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trial_seconds": 8.1}, "multiple of 0.25"),
        ({"rest_seconds": 12}, "multiple of trial_seconds"),
        ({"balance": 1.0}, "both excluded"),
        ({"modalities": {"ecg": {"noise": 20}}}, "no recording of a body"),
        ({"modalities": []}, "expected a list of names"),
        ({"seed": -1}, "whole number from 0"),
        ({"strength": math.nan}, "strength: found nan"),
        ({"trial_secs": 8}, "Did you mean 'trial_seconds'?"),
    ],
)
def test_an_impossible_option_says_what_was_expected(options: dict, words: str) -> None:
    with pytest.raises(LimbeckError, match="simulated cohort") as caught:
        sim.cohort(**options)
    assert words in str(caught.value)


def test_a_cohort_of_24_subjects_is_made_within_5_seconds() -> None:
    began = time.process_time()
    assert len(list(sim.simulated(modalities=EVERY))) == 24
    assert time.process_time() - began < 5


# ----------------------------------------------------------------------------------------------------------- ceilings


def closed_form(separation: float, spread: float, precision: float) -> float:
    return float(norm.cdf(separation / 2 / math.sqrt(spread**2 + 1 / precision)))


@pytest.mark.parametrize("spread", [0.0, 0.05, 0.5, 2.0])
@pytest.mark.parametrize("noise", [0.01, 0.3, 1.0, 3.0])
def test_the_ceiling_is_the_closed_form_where_there_is_one(spread: float, noise: float) -> None:
    both = {"eda": {"informative": 1.0, "noise": noise}, "temp": {"informative": 0.5, "noise": 2.0}}
    options: dict[str, Any] = {"latent_spread": spread, "separation": 1.5, "modalities": both}
    assert sim.ceiling(["eda"], **options) == pytest.approx(closed_form(1.5, spread, 1 / noise**2), abs=1e-5)
    together = 1 / noise**2 + 0.25**2
    assert sim.ceiling(["temp", "eda"], **options) == pytest.approx(closed_form(1.5, spread, together), abs=1e-5)


@pytest.mark.parametrize(("label_noise", "balance"), [(0.0, 0.5), (0.1, 0.5), (0.15, 0.2), (0.3, 0.75)])
def test_the_ceiling_is_what_the_best_rule_gets(label_noise: float, balance: float) -> None:
    """The exact rule, from the joint density of all features and the rules of probability, on drawn features."""
    cohort = sim.cohort(
        trials=1000, label_noise=label_noise, balance=balance, latent_spread=0.8, modalities=["ecg", "eda", "resp"]
    )
    drawn = [sim.draw_latents(cohort, subject) for subject in range(200)]
    label = np.concatenate([each.label[cohort.rest_trials :] for each in drawn])
    features = np.concatenate(
        [[each.features[m][cohort.rest_trials :] - each.shifts[m] for m in cohort.modalities] for each in drawn], axis=1
    )
    size = np.array([modality.informative for modality in cohort.modalities.values()])
    noise = np.array([modality.noise for modality in cohort.modalities.values()])
    covariance = 0.8**2 * np.outer(size, size) + np.diag(noise**2)
    # log p(features | aroused) - log p(features | calm), of two normal laws with means ± size
    ratio = np.exp(2 * np.linalg.solve(covariance, size) @ features)
    flips = np.array([[1 - label_noise, label_noise], [label_noise, 1 - label_noise]])  # [state, label]
    state = np.array([1 - balance, balance])
    calm, aroused = ((state[0] * flips[0, c] + state[1] * flips[1, c] * ratio) / (state @ flips[:, c]) for c in (0, 1))
    best = balanced_accuracy(label, (aroused > calm).astype(int))
    assert sim._ceiling(cohort, tuple(cohort.modalities)) == pytest.approx(best, abs=0.004)


def test_perfect_and_empty_sensors_have_the_ceilings_that_labels_allow() -> None:
    perfect: dict[str, Any] = {"latent_spread": 0.0, "label_noise": 0.1, "modalities": {"eda": {"noise": 0.0}}}
    assert sim.ceiling(["eda"], **perfect) == pytest.approx(0.9)
    assert sim.ceiling(["eda"], modalities={"eda": {"informative": 0.0}}) == 0.5
    assert sim.ceiling([], modalities=["eda"]) == 0.5
    assert sim.ceiling(["eda"], separation=0.0) == 0.5


def test_every_set_of_modalities_has_a_ceiling_and_more_sensors_never_lower_it() -> None:
    truth = sim.simulated(modalities=["eeg", "ecg", "eda"]).truth
    assert set(truth["ceilings"]) == {"ecg", "eda", "eeg", "ecg+eda", "ecg+eeg", "eda+eeg", "ecg+eda+eeg"}
    assert truth["ceilings"]["eda"] < truth["ceilings"]["ecg+eda"] < truth["ceilings"]["ecg+eda+eeg"]
    assert truth["ceilings"]["ecg+eda"] == sim.ceiling(["eda", "ecg"]) == sim.ceiling("eda+ecg")


def test_what_makes_it_harder_lowers_the_ceiling() -> None:
    base = sim.ceiling(["eda"])
    assert sim.ceiling(["eda"], label_noise=0.1) < base
    assert sim.ceiling(["eda"], latent_spread=1.0) < base
    assert sim.ceiling(["eda"], strength=0.5) < base < sim.ceiling(["eda"], strength=2.0)
    assert sim.ceiling(["eda"], separation=1.0) < base


def test_a_stranger_has_no_ceiling() -> None:
    with pytest.raises(StudyError, match="'resp' is not in the cohort"):
        sim.ceiling(["resp"])


@pytest.fixture(scope="module")
def plenty() -> tuple[sim.Cohort, dict[str, np.ndarray], np.ndarray]:
    """80 subjects of 100 trials: statistics of the raw signals without the subject's mean, and the labels."""
    cohort = sim.cohort(subjects=80, trials=100, rest_seconds=0, label_noise=0.05, balance=0.4, seed=11)
    statistics: dict[str, list[np.ndarray]] = {name: [] for name in cohort.modalities}
    labels = []
    for number in range(cohort.subjects):
        recording = sim.simulate(cohort, number)
        for name in cohort.modalities:
            values = statistic(recording, name)
            statistics[name].append(values - values.mean())
        labels.append(sim.draw_latents(cohort, number).label)
    return cohort, {name: np.concatenate(values) for name, values in statistics.items()}, np.concatenate(labels)


@pytest.mark.parametrize("modalities", ["eda", "ecg", "eeg", "ecg+eda", "eda+eeg", "ecg+eda+eeg"])
def test_a_model_of_the_raw_signals_reaches_the_ceiling_and_none_exceeds_it(
    plenty: tuple[sim.Cohort, dict[str, np.ndarray], np.ndarray], modalities: str
) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    cohort, statistics, label = plenty
    best = sim.ceilings(cohort)[modalities]
    x = np.stack([statistics[name] for name in modalities.split("+")], axis=1)
    train = np.arange(len(label)) < 20 * cohort.trials
    sampling_error = 0.5 * math.sqrt(sum(0.25 / (label[~train] == code).sum() for code in (0, 1)))
    models = (
        LogisticRegression(class_weight="balanced"),
        HistGradientBoostingClassifier(class_weight="balanced", max_iter=30, max_leaf_nodes=8),
    )
    scores = [
        balanced_accuracy(label[~train], model.fit(x[train], label[train]).predict(x[~train])) for model in models
    ]
    assert scores[0] > best - 0.02
    assert max(scores) < best + 3 * sampling_error


# ------------------------------------------------------------------------------------------------------------ presets


@pytest.mark.parametrize("preset", sim.PRESETS)
def test_a_preset_states_its_regime_and_a_protocol_that_fits_it(preset: str) -> None:
    corpus = sim.simulated(preset=preset)
    protocol = corpus.truth["protocol"]
    assert "subjects carry labels" in corpus.truth["regime"]
    assert set(protocol["student"]) < set(protocol["teacher"]) == set(corpus.truth["options"]["modalities"])
    assert set(protocol["signals"]) == set(protocol["teacher"])
    assert protocol["length"] == protocol["hop"] == corpus.truth["options"]["trial_seconds"]
    assert protocol["calibration"]["seconds"] == corpus.truth["options"]["rest_seconds"]


def test_the_presets_have_the_ceilings_that_their_names_promise() -> None:
    helps, useless, nothing = (
        sim.simulated(preset=name).truth["ceilings"] for name in ("privileged_helps", "privileged_useless", "no_signal")
    )
    assert 0.92 <= helps["acc+bvp+eda+eeg+temp"] <= 0.95
    assert 0.75 <= helps["acc+bvp+eda+temp"] == helps["eda"] <= 0.80
    assert useless["eeg"] == 0.5
    assert useless["eda+eeg"] == useless["eda"] > 0.75
    assert set(nothing.values()) == {0.5}


@pytest.mark.parametrize("seed", [0, 1])
def test_where_privilege_helps_few_labels_leave_the_student_short_and_not_the_teacher(seed: int) -> None:
    cohort = sim.cohort("privileged_helps", seed=seed)
    student = usual_table(cohort, ["acc", "bvp", "eda", "temp"])
    few, all_labels = held_out_score(*student, labelled=3, draws=3), held_out_score(*student, labelled=None, draws=1)
    assert all_labels - few > 0.05
    assert held_out_score(*usual_table(cohort, ["eeg"]), labelled=3, draws=1) > 0.87


def test_where_privilege_is_useless_the_student_is_near_its_ceiling_on_its_own() -> None:
    cohort = sim.cohort("privileged_useless")
    score = held_out_score(*usual_table(cohort, ["eda"]), labelled=None, draws=1)
    assert score == pytest.approx(sim.ceilings(cohort)["eda"], abs=0.03)
    assert held_out_score(*usual_table(cohort, ["eeg"]), labelled=None, draws=1) == pytest.approx(0.5, abs=0.05)


def test_where_there_is_no_signal_the_raw_features_predict_nothing() -> None:
    cohort = sim.cohort("no_signal", trials=40)
    score = held_out_score(*usual_table(cohort, ["eeg", "eda"]), labelled=None, draws=1)
    assert score == pytest.approx(0.5, abs=0.05)
