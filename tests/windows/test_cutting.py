"""Where windows lie, what they hold, and what is left out."""

import json

import numpy as np
import pytest

from limbeck.errors import DataError, StudyError
from limbeck.recording import Corpus, Event, LeftOut, Recording, Signal, Trace
from limbeck.signals import band_power, bandpass
from limbeck.targets import Target
from limbeck.windows import Calibration, cut, decode, table


def left_out(windows) -> str:
    return "\n".join(f"{entry['what']}: {entry['why']}" for entry in json.loads(windows.attrs["left_out"]))


def naive_windows(recording: Recording, classes: dict[str, int], length: float, hop: float) -> list[tuple]:
    """The definition, one window and one sample at a time, for signals that all cover the events."""
    found = []
    for event in sorted(recording.events, key=lambda event: event.start):
        if event.name not in classes:
            continue
        k = 0
        while event.start + k * hop + length <= event.end + 1e-9:
            start = event.start + k * hop
            samples = {}
            for modality, signal in recording.signals.items():
                times = signal.start + np.arange(signal.data.shape[1]) / signal.rate
                first = int(np.flatnonzero(times >= start - 1e-9)[0])
                samples[modality] = signal.data[:, first : first + round(length * signal.rate)]
            found.append((start, event.name, classes[event.name], samples))
            k += 1
    return found


def test_windows_are_those_of_a_naive_cut(rng, make_corpus):
    recordings = []
    for subject in ("A", "B"):
        signals = {
            "eda": Signal(rng.normal(size=(1, 460)).astype(np.float32), 4.0, ("eda",), "µS", start=-0.4),
            "eeg": Signal(rng.normal(size=(3, 5800)).astype(np.float32), 50.0, ("Fp1", "Fp2", "Cz"), "µV", start=0.013),
        }
        events = (Event("task", 33.3, 71.1), Event("rest", 2.0, 33.3), Event("other", 71.1, 80), Event("rest", 80, 113))
        recordings.append(Recording(subject, signals, events=events))
    target = Target("load", events={"task": ("task",), "rest": ("rest",)})
    windows = cut(make_corpus(*recordings), signals={"eeg": [], "eda": []}, target=target, length=7, hop=2.5)
    expected = [(r.subject, *window) for r in recordings for window in naive_windows(r, {"task": 0, "rest": 1}, 7, 2.5)]
    assert windows.sizes["window"] == len(expected) > 40
    np.testing.assert_array_equal(decode(windows.subject), [window[0] for window in expected])
    np.testing.assert_allclose(windows.start, [window[1] for window in expected])
    np.testing.assert_array_equal(decode(windows.condition), [window[2] for window in expected])
    np.testing.assert_array_equal(windows.target, [window[3] for window in expected])
    for modality in ("eda", "eeg"):
        np.testing.assert_array_equal(windows[modality], [window[4][modality] for window in expected])


@pytest.mark.parametrize("rate", [1.0, 3.7, 4.0, 31.25, 64.0])
@pytest.mark.parametrize("edge", [20.0, 20.1, 33.333])
def test_no_window_crosses_a_transition_and_each_segment_starts_anew(rate, edge, make_corpus, rest_and_task):
    times = np.arange(int(60 * rate)) / rate
    state = (times >= edge).astype(np.float32)[np.newaxis]
    signals = {"eda": Signal(state, rate, ("eda",), "µS")}
    recording = Recording("S1", signals, events=(Event("rest", 0, edge), Event("task", edge, 60)))
    windows = cut(make_corpus(recording), signals={"eda": []}, target=rest_and_task, length=5, hop=2)
    for code in (0, 1):
        samples = windows.eda.to_numpy()[windows.target.to_numpy() == code]
        assert len(samples)
        assert (samples == code).all()
        assert windows.start.to_numpy()[windows.target.to_numpy() == code][0] == (0, edge)[code]


def test_the_shape_attributes_and_dtypes_are_the_promised_ones(two_subjects, rest_and_task):
    windows = cut(two_subjects, signals={"eda": [], "acc": []}, target=rest_and_task, length=10, hop=5)
    assert windows.acc.dims == ("window", "acc_channel", "acc_time")
    assert windows.acc.shape == (2 * (11 + 7), 3, 320)
    assert windows.acc.dtype == np.float32
    assert windows.acc.attrs == {"rate": 32.0, "unit": "µS", "channels": ["acc0", "acc1", "acc2"]}
    assert windows.acc_present.dtype == bool
    assert windows.acc_present.all()
    assert {
        name: windows[name].dtype for name in ("subject", "session", "trial", "condition", "order", "segment")
    } == dict.fromkeys(("subject", "session", "trial", "condition", "order", "segment"), np.dtype(np.int32))
    assert windows.start.dtype == np.float64
    assert windows.target.dtype == np.int64
    assert windows.target.attrs == {"kind": "class", "name": "load", "classes": ["rest", "task"]}
    assert windows.subject.attrs["categories"] == ["S1", "S2"]
    assert (windows.attrs["length"], windows.attrs["hop"], windows.attrs["corpus"]) == (10, 5, "handmade")
    assert json.loads(windows.attrs["left_out"]) == []
    assert len(windows.attrs["key"]) == 64


def test_steps_run_on_the_whole_recording_and_features_on_each_window(rng, make_corpus, rest_and_task):
    data = rng.normal(size=(2, 60 * 128)).astype(np.float32)
    recording = Recording(
        "S1",
        {"eeg": Signal(data, 128.0, ("Fp1", "Fp2"), "µV")},
        events=(Event("rest", 0, 30), Event("task", 30, 60)),
    )
    steps = [{"bandpass": [1, 40]}, {"features": [{"bandpower": {"bands": {"alpha": [8, 13]}}}]}]
    windows = cut(make_corpus(recording), signals={"eeg": steps}, target=rest_and_task, length=10, hop=10)
    assert windows.eeg.dims == ("window", "eeg_feature")
    assert windows.eeg.attrs["features"] == ["eeg.Fp1.bandpower.alpha", "eeg.Fp2.bandpower.alpha"]
    assert windows.eeg.attrs["channels"] == ["Fp1", "Fp2"]
    assert "rate" not in windows.eeg.attrs
    filtered = bandpass(data, 128, 1, 40).reshape(2, 6, 1280).swapaxes(0, 1)
    np.testing.assert_allclose(windows.eeg, band_power(filtered, 128, {"alpha": (8, 13)})[..., 0], rtol=1e-5)


def test_batches_of_windows_give_what_all_at_once_gives(monkeypatch, two_subjects, rest_and_task):
    def made():
        return cut(
            two_subjects,
            signals={"acc": ["magnitude", {"features": ["statistics"]}]},
            target=rest_and_task,
            length=10,
            hop=1,
        )

    whole = made()
    monkeypatch.setattr("limbeck.windows.cutting._BATCH", 1000)
    assert made().identical(whole)


def test_signals_that_start_at_different_times_are_aligned_in_time(ramp, make_corpus, rest_and_task):
    signals = {"eda": ramp(4.0, 100, start=0.6), "acc": ramp(32.0, 90, "acc", start=10.25, channels=3)}
    recording = Recording("S1", signals, events=(Event("rest", 0, 50), Event("task", 50, 100)))
    windows = cut(make_corpus(recording), signals={"eda": [], "acc": []}, target=rest_and_task, length=5, hop=5)
    assert windows.start.to_numpy()[0] == 10.25
    for modality, rate in (("eda", 4), ("acc", 32)):
        lag = windows[modality].to_numpy()[:, 0, 0] - windows.start.to_numpy()
        assert (lag >= -1e-5).all()
        assert (lag < 1 / rate).all()
    assert windows.start.to_numpy()[-1] == 95


def test_windows_exist_only_where_every_modality_covers_them(ramp, make_corpus, rest_and_task):
    signals = {"eda": ramp(4.0, 100), "temp": ramp(4.0, 80, "temp")}
    recording = Recording("S1", signals, events=(Event("rest", 0, 50), Event("task", 50, 100)))
    both = cut(make_corpus(recording), signals={"eda": [], "temp": []}, target=rest_and_task, length=10, hop=10)
    alone = cut(make_corpus(recording), signals={"eda": []}, target=rest_and_task, length=10, hop=10)
    assert (both.sizes["window"], alone.sizes["window"]) == (8, 10)


def test_windows_with_missing_samples_are_dropped_and_counted(ramp, make_corpus, rest_and_task):
    eda, acc = ramp(4.0, 100), ramp(32.0, 100, "acc", channels=3)
    eda.data[0, 4 * 12] = np.nan
    acc.data[1, 32 * 75 : 32 * 76] = np.inf
    recording = Recording("S1", {"eda": eda, "acc": acc}, events=(Event("rest", 0, 50), Event("task", 50, 100)))
    windows = cut(make_corpus(recording), signals={"eda": [], "acc": []}, target=rest_and_task, length=10, hop=10)
    np.testing.assert_array_equal(windows.start, [0, 20, 30, 40, 50, 60, 80, 90])
    assert "S1: 2 of 10 windows have missing samples (eda 1, acc 1)" in left_out(windows)
    assert np.isfinite(windows.eda).all()


def test_a_modality_that_a_recording_lacks_is_nan_and_not_present(ramp, make_corpus, rest_and_task):
    events = (Event("rest", 0, 50), Event("task", 50, 100))
    corpus = make_corpus(
        Recording("S1", {"eda": ramp(4.0, 100)}, events=events),
        Recording("S2", {"eda": ramp(4.0, 100), "acc": ramp(32.0, 100, "acc", channels=3)}, events=events),
    )
    windows = cut(
        corpus, signals={"eda": [], "acc": [{"features": ["statistics"]}]}, target=rest_and_task, length=10, hop=10
    )
    second = decode(windows.subject) == "S2"
    np.testing.assert_array_equal(windows.acc_present, second)
    assert np.isnan(windows.acc.to_numpy()[~second]).all()
    assert np.isfinite(windows.acc.to_numpy()[second]).all()
    assert "S1: has no acc" in left_out(windows)


def test_order_is_subject_session_order_and_start(ramp, make_corpus, rest_and_task):
    def recording(subject, session, order, name):
        return Recording(
            subject,
            {"eda": ramp(4.0, 20)},
            session,
            f"t{order}",
            order,
            events=(Event(name, 0, 20),),
        )

    corpus = make_corpus(
        recording("S2", "b", 1, "task"),
        recording("S2", "b", 0, "rest"),
        recording("S2", "a", 0, "task"),
        recording("S1", "a", 0, "rest"),
    )
    rows = table(cut(corpus, signals={"eda": []}, target=rest_and_task, length=10, hop=5))
    assert list(rows.columns) == [
        *("window", "subject", "session", "trial", "condition", "segment", "start"),
        *("order", "calibration", "target"),
    ]
    each = rows.drop_duplicates(["subject", "session", "order"])
    assert list(zip(each.subject, each.session, each.order, each.condition, strict=True)) == [
        ("S2", "b", 0, "rest"),
        ("S2", "b", 1, "task"),
        ("S2", "a", 0, "task"),
        ("S1", "a", 0, "rest"),
    ]
    assert list(rows.start) == [0, 5, 10] * 4
    assert list(rows.target) == [0] * 3 + [1] * 6 + [0] * 3
    assert rows.subject.map(type).eq(str).all()


def test_segments_are_numbered_in_each_recording_by_time_whatever_their_names(ramp, make_corpus, rest_and_task):
    events = (Event("rest", 40, 60), Event("task", 20, 40), Event("other", 60, 70), Event("rest", 0, 20))
    corpus = make_corpus(
        *(
            Recording("S1", {"eda": ramp(4.0, 100)}, trial=trial, order=order, events=events + more)
            for order, (trial, more) in enumerate([("a", ()), ("b", (Event("rest", 70, 75), Event("task", 80, 100)))])
        )
    )
    rows = table(cut(corpus, signals={"eda": []}, target=rest_and_task, length=10, hop=10))
    assert list(rows.segment[rows.trial == "a"]) == [0, 0, 1, 1, 2, 2]
    # the rest at 70 s is too short for a window; its number stays its own
    assert list(rows.segment[rows.trial == "b"]) == [0, 0, 1, 1, 2, 2, 4, 4]
    assert (rows.groupby(["trial", "segment"]).condition.nunique() == 1).all()


class TestCalibration:
    """The earliest part of a condition is kept apart."""

    def test_its_windows_are_marked_and_share_no_sample_with_the_others(self, two_subjects, rest_and_task):
        windows = cut(
            two_subjects,
            signals={"eda": []},
            target=rest_and_task,
            length=10,
            hop=4,
            calibration=Calibration("rest", 25),
        )
        rows = table(windows)
        apart = rows[rows.calibration]
        assert list(apart.start) == [0, 4, 8, 12] * 2
        assert (apart.target == -1).all()
        rest = rows[~rows.calibration & (rows.condition == "rest")]
        assert list(rest.start) == [25, 29, 33, 37, 41, 45, 49] * 2
        assert (rest.target == 0).all()
        calibrated = windows.eda.to_numpy()[rows.calibration]
        assert calibrated.max() < 25 <= windows.eda.to_numpy()[~rows.calibration].min()
        assert json.loads(windows.attrs["calibration_seconds"]) == {"S1": 25, "S2": 25}

    def test_what_it_cuts_apart_stays_one_segment(self, ramp, make_corpus, rest_and_task):
        events = (Event("task", 0, 20), Event("rest", 20, 80), Event("quiet", 40, 60), Event("quiet", 90, 100))
        windows = cut(
            make_corpus(Recording("S1", {"eda": ramp(4.0, 100)}, events=events)),
            signals={"eda": []},
            target=rest_and_task,
            length=10,
            hop=10,
            calibration=Calibration("quiet", 30),
        )
        rows = table(windows)
        assert list(rows.start[rows.calibration]) == [40, 50, 90]
        assert list(rows.segment[rows.calibration]) == [1, 1, -1]
        assert list(rows.segment[~rows.calibration]) == [0, 0, 1, 1, 1, 1]

    def test_it_goes_on_in_the_next_stretch_and_the_next_recording_until_it_has_enough(
        self, ramp, make_corpus, rest_and_task
    ):
        def recording(order, *events):
            return Recording("S1", {"eda": ramp(4.0, 100)}, trial=f"t{order}", order=order, events=events)

        corpus = make_corpus(
            recording(0, Event("rest", 10, 30), Event("task", 30, 60), Event("rest", 60, 75)),
            recording(1, Event("rest", 0, 50), Event("task", 50, 100)),
        )
        calibration = Calibration("rest", 50)
        windows = cut(corpus, signals={"eda": []}, target=rest_and_task, length=5, hop=5, calibration=calibration)
        rows = table(windows)
        apart = rows[rows.calibration]
        assert list(apart[apart.trial == "t0"].start) == [10, 15, 20, 25, 60, 65, 70]
        assert list(apart[apart.trial == "t1"].start) == [0, 5, 10]
        assert rows[~rows.calibration & (rows.condition == "rest")].start.min() == 15

    def test_it_is_the_earliest_even_if_the_corpus_lists_recordings_otherwise(self, ramp, make_corpus, rest_and_task):
        def recording(order):
            events = (Event("rest", 0, 50), Event("task", 50, 100))
            return Recording("S1", {"eda": ramp(4.0, 100)}, trial=f"t{order}", order=order, events=events)

        windows = cut(
            make_corpus(recording(1), recording(0)),
            signals={"eda": []},
            target=rest_and_task,
            length=10,
            hop=10,
            calibration=Calibration("rest", 20),
        )
        rows = table(windows)
        assert set(rows[rows.calibration].trial) == {"t0"}
        assert len(rows) == 20

    def test_a_subject_with_too_little_of_it_is_listed(self, ramp, make_corpus, rest_and_task):
        def recording(subject, seconds):
            events = (Event("rest", 0, seconds), Event("task", 50, 100))
            return Recording(subject, {"eda": ramp(4.0, 100)}, events=events)

        windows = cut(
            make_corpus(recording("S1", 12), recording("S2", 50)),
            signals={"eda": []},
            target=rest_and_task,
            length=10,
            hop=10,
            calibration=Calibration("rest", 20),
        )
        assert json.loads(windows.attrs["calibration_seconds"]) == {"S1": 12, "S2": 20}
        assert "S1: has 12 of 20 s of 'rest' to calibrate on" in left_out(windows)
        rows = table(windows)
        assert not (~rows.calibration & (rows.condition == "rest") & (rows.subject == "S1")).any()

    def test_the_condition_need_not_be_a_class_and_may_lie_inside_the_recording(self, ramp, make_corpus):
        trace = Trace(np.arange(100.0), np.arange(100.0))
        recording = Recording("S1", {"eda": ramp(4.0, 100)}, events=(Event("rest", 40, 60),), traces={"a": trace})
        windows = cut(
            make_corpus(recording),
            signals={"eda": []},
            target=Target("a", trace="a"),
            length=10,
            hop=10,
            calibration=Calibration("rest", 20),
        )
        rows = table(windows)
        assert list(rows.start) == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]
        assert list(rows[rows.calibration].start) == [40, 50]
        assert rows.target[rows.calibration].isna().all()
        assert windows.target.dtype == np.float32
        np.testing.assert_allclose(rows.target[~rows.calibration], rows.start[~rows.calibration] + 4.5)

    def test_without_a_condition_it_is_the_beginning(self, two_subjects):
        windows = cut(
            two_subjects, signals={"eda": []}, target=None, length=10, hop=10, calibration=Calibration(None, 30)
        )
        assert list(windows.start.to_numpy()[windows.calibration]) == [0, 10, 20] * 2
        assert "target" not in windows
        assert "target" not in table(windows)

    def test_one_that_holds_no_window_or_that_nobody_has_is_refused(self, two_subjects, rest_and_task):
        def made(calibration):
            return cut(
                two_subjects, signals={"eda": []}, target=rest_and_task, length=10, hop=10, calibration=calibration
            )

        with pytest.raises(StudyError, match="5 s hold no window of 10 s"):
            made(Calibration("rest", 5))
        with pytest.raises(StudyError, match=r"no recording has an event 'rst'. Did you mean 'rest'"):
            made(Calibration("rst", 20))
        with pytest.raises(StudyError, match="seconds must be above 0"):
            Calibration("rest", 0)


class TestTargets:
    """Ratings and traces become targets."""

    def ratings(self, ramp, make_corpus, **values) -> Corpus:
        return make_corpus(
            *(
                Recording(subject, {"eda": ramp(4.0, 20)}, trial=str(order), order=order, ratings={"v": value})
                for subject, each in values.items()
                for order, value in enumerate(each)
            )
        )

    def classes(self, corpus, threshold) -> list[int]:
        target = Target("v", ratings="v", threshold=threshold)
        return list(cut(corpus, signals={"eda": []}, target=target, length=20, hop=20).target.to_numpy())

    def test_a_number_splits_all_subjects_alike(self, ramp, make_corpus):
        corpus = self.ratings(ramp, make_corpus, A=[5, 6, 7], B=[1, 2, 9])
        assert self.classes(corpus, 5) == [0, 1, 1, 0, 0, 1]

    def test_mean_and_median_split_each_subject_by_its_own(self, ramp, make_corpus):
        corpus = self.ratings(ramp, make_corpus, A=[5, 6, 10], B=[1, 2, 9])
        assert self.classes(corpus, "subject_mean") == [0, 0, 1, 0, 0, 1]
        assert self.classes(corpus, "subject_median") == [0, 0, 1, 0, 0, 1]
        corpus = self.ratings(ramp, make_corpus, A=[1, 5, 6, 6.5], B=[1, 2, 9])
        assert self.classes(corpus, "subject_mean") == [0, 1, 1, 1, 0, 0, 1]
        assert self.classes(corpus, "subject_median") == [0, 0, 1, 1, 0, 0, 1]

    def test_a_recording_without_the_rating_is_left_out(self, ramp, make_corpus):
        corpus = make_corpus(
            *(Recording(str(v), {"eda": ramp(4.0, 20)}, ratings={"v": v} if v else {}) for v in (0, 3, 8))
        )
        windows = cut(corpus, signals={"eda": []}, target=Target("v", ratings="v", threshold=5), length=20, hop=20)
        assert list(decode(windows.subject)) == ["3", "8"]
        assert "0: 1 of 1 windows have no value of v (no v)" in left_out(windows)

    def test_windows_without_a_sample_of_the_trace_are_dropped_and_counted(self, ramp, make_corpus):
        trace = Trace(np.arange(50.0), np.ones(50))
        corpus = make_corpus(Recording("S1", {"eda": ramp(4.0, 100)}, traces={"a": trace}))
        windows = cut(corpus, signals={"eda": []}, target=Target("a", trace="a"), length=10, hop=10)
        assert windows.sizes["window"] == 5
        assert "5 of 10 windows have no value of a" in left_out(windows)
        assert windows.target.attrs == {"kind": "trace", "name": "a"}


class TestWhatIsRefused:
    """Clear errors instead of fewer or wrong windows."""

    def cut(self, corpus, target, signals=None, **options):
        return cut(corpus, signals=signals or {"eda": []}, target=target, **{"length": 10, "hop": 5, **options})

    def test_an_event_that_no_recording_has(self, two_subjects):
        target = Target("x", events={"rest": ("rest",), "task": ("taks",)})
        with pytest.raises(StudyError, match=r"no recording has an event 'taks'. Did you mean 'task'"):
            self.cut(two_subjects, target)

    def test_a_modality_that_no_recording_has(self, two_subjects, rest_and_task):
        with pytest.raises(StudyError, match="no recording has eeg; they have acc, eda"):
            self.cut(two_subjects, rest_and_task, {"eda": [], "eeg": []})

    def test_wrong_lengths_and_steps_at_once(self, two_subjects, rest_and_task):
        with pytest.raises(StudyError) as caught:
            self.cut(two_subjects, rest_and_task, {"eda": ["lowpas"]}, length=0, hop="5")
        assert len(caught.value.mistakes) == 3

    def test_a_class_without_windows(self, two_subjects, rest_and_task):
        with pytest.raises(DataError, match="No window of the class task of load"):
            self.cut(two_subjects, rest_and_task, length=45)

    def test_no_windows_at_all_with_the_reasons(self, two_subjects, rest_and_task):
        with pytest.raises(
            DataError, match=r"(?s)No windows could be cut from handmade.*shorter than a window of 500 s"
        ):
            self.cut(two_subjects, rest_and_task, length=500)

    def test_different_rates_name_the_recordings_and_what_to_do(self, ramp, make_corpus, rest_and_task):
        events = (Event("rest", 0, 50), Event("task", 50, 100))
        corpus = make_corpus(
            *(Recording(f"S{r}", {"eda": ramp(float(r), 100)}, events=events) for r in (4, 8)),
            Recording("S0", {"eda": ramp(4.0, 100)}, events=events),
        )
        with pytest.raises(
            DataError, match=r"4 Hz in 2 recordings \(S4\); 8 Hz in 1 recordings \(S8\).*\{resample: 4\}"
        ):
            self.cut(corpus, rest_and_task)
        windows = self.cut(corpus, rest_and_task, {"eda": [{"resample": 4}]})
        assert windows.eda.shape[1:] == (1, 40)

    def test_channels_in_another_order_are_brought_into_one_and_lacking_ones_listed(
        self, ramp, make_corpus, rest_and_task
    ):
        events = (Event("rest", 0, 50), Event("task", 50, 100))

        def recording(subject, *channels):
            data = np.stack([np.full(400, ord(channel)) for channel in channels]).astype(np.float32)
            return Recording(subject, {"eeg": Signal(data, 4.0, channels, "µV")}, events=events)

        corpus = make_corpus(
            recording("S1", "a", "b"), recording("S2", "b", "c", "a"), recording("S3", "a", "b"), recording("S4", "a")
        )
        for steps in ([], [{"features": [{"statistics": {"kinds": ["mean"]}}]}]):
            windows = self.cut(corpus, rest_and_task, {"eeg": steps})
            assert windows.eeg.attrs["channels"] == ["a", "b"]
            assert (windows.eeg.to_numpy()[:, 0] == ord("a")).all()
            assert (windows.eeg.to_numpy()[:, 1] == ord("b")).all()
            assert "S4" not in decode(windows.subject)
            assert "S4: lacks 1 of 2 eeg channels" in left_out(windows)

    def test_what_a_step_refuses_in_one_recording_leaves_out_that_recording(self, ramp, make_corpus, rest_and_task):
        events = (Event("rest", 0, 50), Event("task", 50, 100))
        corpus = make_corpus(
            Recording("S1", {"eda": ramp(4.0, 100)}, events=events),
            Recording("S2", {"eda": ramp(1.0, 100)}, events=events),
        )
        windows = self.cut(corpus, rest_and_task, {"eda": [{"lowpass": 1}, {"features": ["statistics"]}]})
        assert set(decode(windows.subject)) == {"S1"}
        assert "S2: signals.eda, lowpass: lowpass: 1 Hz cannot be filtered" in left_out(windows)

    def test_events_that_contradict_each_other_are_left_out_and_the_recording_is_cut(
        self, ramp, make_corpus, rest_and_task
    ):
        events = (Event("rest", 0, 25), Event("task", 20, 40), Event("rest", 40, 70), Event("task", 80, 100))
        corpus = make_corpus(Recording("S1", {"eda": ramp(4.0, 100)}, events=events))
        windows = self.cut(corpus, rest_and_task, calibration=Calibration("rest", 20), hop=10)
        assert "S1: the events rest (0 to 25 s) and task (20 to 40 s) overlap" in left_out(windows)
        rows = table(windows)
        assert list(rows.start[rows.calibration]) == [40, 50]
        assert list(rows.start[~rows.calibration]) == [60, 80, 90]

    def test_names_that_are_missing_come_with_what_was_left_out(self, two_subjects):
        two_subjects.left_out.append(LeftOut("labels.csv, row 3", "found start 'x'"))
        target = Target("x", events={"rest": ("rest",), "pain": ("pain",)})
        with pytest.raises(StudyError, match=r"(?s)an event 'pain'.*left out:.*labels\.csv, row 3: found start 'x'"):
            self.cut(two_subjects, target)
        two_subjects.left_out.clear()
        with pytest.raises(StudyError) as caught:
            self.cut(two_subjects, target)
        assert "left out" not in str(caught.value)


def test_what_the_corpus_and_the_recordings_left_out_is_listed_once(ramp, make_corpus, rest_and_task):
    note = LeftOut("TEMP.csv", "empty")
    events = (Event("rest", 0, 50), Event("task", 50, 80), Event("rest", 80, 85))
    corpus = make_corpus(Recording("S1", {"eda": ramp(4.0, 100)}, events=events, notes=(note,)))
    corpus.left_out += [LeftOut("S9", "no files"), note]
    windows = cut(corpus, signals={"eda": []}, target=rest_and_task, length=10, hop=5)
    assert left_out(windows).splitlines() == [
        "S9: no files",
        "TEMP.csv: empty",
        "S1: 1 of 3 segments are shorter than a window of 10 s",
    ]
    assert len(corpus.left_out) == 2


def test_a_recording_whose_signals_do_not_cover_its_events_is_listed(ramp, make_corpus, rest_and_task):
    events = (Event("rest", 0, 50), Event("task", 50, 100))
    corpus = make_corpus(
        Recording("S1", {"eda": ramp(4.0, 100), "temp": ramp(4.0, 100, "temp")}, events=events),
        Recording("S2", {"eda": ramp(4.0, 20), "temp": ramp(4.0, 10, "temp", start=40)}, events=events),
        Recording("S3", {"eda": ramp(4.0, 30, start=100), "temp": ramp(4.0, 99, "temp", start=99)}, events=events),
    )
    windows = cut(corpus, signals={"eda": [], "temp": []}, target=rest_and_task, length=10, hop=5)
    assert set(decode(windows.subject)) == {"S1"}
    assert "S2: no labelled segment lies in what eda, temp cover together: no time at all" in left_out(windows)
    assert "S3: no labelled segment lies in what eda, temp cover together: 100 to 130 s" in left_out(windows)


def test_segments_that_the_signals_do_not_cover_are_counted_and_named(ramp, make_corpus, rest_and_task):
    events = (Event("rest", 0, 50), Event("task", 50, 80), Event("rest", 80, 100))
    signals = {"eda": ramp(4.0, 60), "temp": ramp(4.0, 97, "temp")}
    corpus = make_corpus(Recording("S1", signals, events=events))
    windows = cut(corpus, signals={"eda": [], "temp": []}, target=rest_and_task, length=10, hop=10)
    assert left_out(windows).splitlines() == [
        "S1: 2 of 3 labelled segments (task, rest) lie wholly or partly outside what eda, temp cover: 0 to 60 s"
    ]
    windows = cut(corpus, signals={"temp": []}, target=rest_and_task, length=10, hop=10)
    assert left_out(windows) == "", "the ends of sensors differ a little; no more than a window is lost"
    rated = make_corpus(Recording("S1", signals, ratings={"v": 1}), Recording("S2", signals, ratings={"v": 9}))
    windows = cut(rated, signals={"eda": []}, target=Target("v", ratings="v", threshold=5), length=10, hop=10)
    assert "S1: 1 of 1 labelled segments (the whole recording) lie" in left_out(windows)


def test_progress_counts_recordings(two_subjects, rest_and_task):
    seen = []
    cut(
        two_subjects,
        signals={"eda": []},
        target=rest_and_task,
        length=10,
        hop=5,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 2), (2, 2)]
