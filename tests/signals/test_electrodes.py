"""Blinks go and the rest stays; broken electrodes are found, and rebuilt as MNE rebuilds them."""

import tracemalloc
import warnings

import mne
import numpy as np
import pytest
from scipy import signal

from limbeck.errors import DataError, StudyError
from limbeck.recording import Signal
from limbeck.signals import bad_electrodes, electrodes, highpass, ica, interpolate_electrodes, parse_steps
from limbeck.signals.electrodes import _fit_ica, _montage

NAMES = "Fp1 Fp2 F7 F3 Fz F4 F8 T3 C3 Cz C4 T4 T5 P3 Pz P4 T6 O1 O2".split()  # noqa: SIM905
CHANNELS = tuple(NAMES)
RATE = 128.0


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def positions():
    """Where the electrodes are, as unit vectors."""
    found = np.array([_montage().get_positions()["ch_pos"][name] for name in NAMES])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def field(centre, width):
    """How strongly each electrode sees a source."""
    return np.exp(-np.square(positions() - centre).sum(axis=1) / width)


@pytest.fixture(scope="module")
def mixture():
    """What a brain gives, and the same with blinks over the eyes; where the eyes are shut."""
    rng = np.random.default_rng(1)
    time = np.arange(int(20 * RATE)) / RATE
    brain = rng.normal(size=(len(NAMES), len(time)))
    for index in range(10):
        sections = signal.butter(2, (3 + 2 * index, 5 + 2.5 * index), "bandpass", fs=RATE, output="sos")
        source = signal.sosfilt(sections, rng.laplace(size=len(time)))
        brain += np.outer(field(positions()[rng.integers(3, 19)], 0.5), 15 * source / source.std())
    blinks = sum(130 * np.exp(-0.5 * np.square((time - start) / 0.08)) for start in np.arange(1.3, 19, 2.2))
    seen = np.outer(field(np.array([0, 1, -0.1]), 0.4), blinks)
    seen /= field(np.array([0, 1, -0.1]), 0.4).max()
    return brain, brain + seen, blinks > 60


@pytest.fixture(scope="module")
def cleaned(mixture):
    return ica(mixture[1].astype(np.float32), RATE, channels=CHANNELS)


def test_blinks_lose_most_of_their_amplitude_and_the_rest_comes_nearer_to_the_truth(mixture, cleaned):
    brain, seen, shut = mixture
    for index in (0, 1, 3, 4, 5):  # frontal
        before = np.abs((seen - brain)[index, shut].mean())
        assert np.abs((cleaned - brain)[index, shut].mean()) < 0.2 * before
        truth = brain[index]
        assert np.corrcoef(cleaned[index], truth)[0, 1] > np.corrcoef(seen[index], truth)[0, 1] + 0.02
    for index in range(7, 19):  # what never saw the blinks
        assert np.corrcoef(cleaned[index], brain[index])[0, 1] > 0.99


def test_without_blinks_nothing_is_taken_out(mixture):
    brain = mixture[0]
    np.testing.assert_array_equal(ica(brain, RATE, channels=CHANNELS), brain)


def test_the_same_recording_gives_the_same_result_in_a_batch_and_in_a_pipeline(mixture, cleaned):
    seen = mixture[1].astype(np.float32)
    assert cleaned.dtype == np.float32
    batch = ica(np.stack([seen[:, ::-1], seen]), RATE, channels=CHANNELS)
    np.testing.assert_array_equal(batch[1], cleaned)
    pipeline = parse_steps(["ica"], modality="eeg")
    assert not pipeline.causal
    np.testing.assert_array_equal(pipeline.on_recording(Signal(seen, RATE, CHANNELS, "µV")).data, cleaned)


def test_the_components_are_those_that_mne_applies(mixture):
    filtered = highpass(mixture[1], RATE, 1.0)
    unmixing, mixing = _fit_ica(filtered, RATE, 10, 97)
    raw = mne.io.RawArray(filtered, mne.create_info(NAMES, RATE, "eeg", verbose="ERROR"), verbose="ERROR")
    options = {"extended": True, "kurt_size": filtered.shape[-1], "ext_blocks": 10}
    fitted = mne.preprocessing.ICA(10, method="infomax", fit_params=options, random_state=97, verbose="ERROR")
    fitted.fit(raw, verbose="ERROR")
    # what mne takes off is the difference to what it gives back
    taken = raw.get_data() - fitted.apply(raw.copy(), exclude=[0, 3], verbose="ERROR").get_data()
    centred = filtered - filtered.mean(axis=1, keepdims=True)
    components = unmixing @ centred
    level = mixing[:, [0, 3]] @ components[[0, 3]]
    lost = centred - mixing @ components  # mne gives the variance behind the tenth component back as it was
    np.testing.assert_allclose(taken, level, atol=1e-8 * np.abs(level).max())
    assert np.abs(lost).max() > 0.1


def test_gaps_stay_gaps_and_dead_channels_stay_as_they_are(mixture):
    brain, seen, shut = mixture
    x = seen.copy()
    x[3, 500:520] = np.nan
    x[0, 900] = np.inf
    x[12] = np.nan
    x[17] = 4.0
    cleaned = ica(x, RATE, channels=CHANNELS)
    np.testing.assert_array_equal(np.isnan(cleaned), ~np.isfinite(x))
    assert (cleaned[17] == 4.0).all()
    before = np.nanmean((x - brain)[1, shut])
    assert np.abs(np.nanmean((cleaned - brain)[1, shut])) < 0.2 * before


def test_named_eye_channels_and_components_are_used(mixture):
    brain, seen, shut = mixture
    cleaned = ica(seen, RATE, eog=["EEG FP2"], n_components=12, threshold=0.6, channels=CHANNELS)
    assert np.abs((cleaned - brain)[0, shut].mean()) < 0.2 * (seen - brain)[0, shut].mean()


def test_recordings_of_which_no_components_can_be_had_are_refused(mixture):
    seen = mixture[1]
    with pytest.raises(DataError, match=r"Blinks are found by Fp1 or Fp2; found F7, F3.* Name channels with eog"):
        ica(seen[2:], RATE, channels=CHANNELS[2:])
    with pytest.raises(DataError, match="needs at least 380 samples without a gap; found 300"):
        ica(seen[:, :300], RATE, channels=CHANNELS)
    with pytest.raises(DataError, match="at least 3 channels that are neither flat nor missing; found 2"):
        ica(seen[:2], RATE, channels=CHANNELS[:2])
    with pytest.raises(DataError, match="of 19 channels has at most as many components; found 20"):
        ica(seen, RATE, n_components=20, channels=CHANNELS)
    with pytest.raises(DataError, match="should show the eyes is flat or missing"):
        ica(np.where(np.arange(19)[:, None] < 2, 0, seen), RATE, channels=CHANNELS)
    with pytest.raises(DataError, match="All 3 components correlate"):
        ica(seen[:3], RATE, CHANNELS[:3], threshold=0.05, channels=CHANNELS[:3])


def of_mne(x, bad):
    """The data as ``mne.io.Raw.interpolate_bads`` leaves them."""
    info = mne.create_info(NAMES, RATE, "eeg", verbose="ERROR")
    info.set_montage(_montage(), verbose="ERROR")
    raw = mne.io.RawArray(x.astype(np.float64), info, verbose="ERROR")
    raw.info["bads"] = bad
    return raw.interpolate_bads(verbose="ERROR").get_data()


def test_rebuilt_electrodes_agree_with_mne(mixture):
    x = mixture[0]
    rebuilt = interpolate_electrodes(x, RATE, ["C3", "T8"], channels=CHANNELS)
    np.testing.assert_allclose(rebuilt, of_mne(x, ["C3", "T4"]), atol=1e-9)
    np.testing.assert_array_equal(np.delete(rebuilt, [8, 11], axis=0), np.delete(x, [8, 11], axis=0))
    assert np.corrcoef(rebuilt[8], x[8])[0, 1] > 0.8
    assert interpolate_electrodes(x.astype(np.float32), RATE, "C3", channels=CHANNELS).dtype == np.float32


def test_what_a_broken_electrode_held_does_not_matter_and_rows_and_names_are_alone(mixture):
    x = mixture[0][:, :300]
    broken = x.copy()
    broken[8] = np.nan
    expected = interpolate_electrodes(x, RATE, ["C3"], channels=CHANNELS)
    np.testing.assert_array_equal(interpolate_electrodes(broken, RATE, ["C3"], channels=CHANNELS), expected)
    batch = interpolate_electrodes(np.stack([x, 2 * x]), RATE, ["C3"], channels=CHANNELS)
    np.testing.assert_allclose(batch, np.stack([expected, 2 * expected]), rtol=1e-12)
    other_names = tuple(f"EEG {name.upper()}-REF" for name in CHANNELS)
    np.testing.assert_array_equal(interpolate_electrodes(x, RATE, "c3", channels=other_names), expected)
    order = np.random.default_rng(0).permutation(19)
    shuffled = interpolate_electrodes(x[order], RATE, ["C3"], channels=tuple(CHANNELS[i] for i in order))
    np.testing.assert_allclose(shuffled, expected[order], atol=1e-9)


def test_where_another_electrode_is_missing_the_rest_stand_in(mixture):
    x = mixture[0][:, :300].copy()
    x[9, 100:150] = np.nan
    x[4:, 200] = np.nan
    x[:, 250] = np.nan
    rebuilt = interpolate_electrodes(x, RATE, ["C3"], channels=CHANNELS)
    np.testing.assert_array_equal(np.isnan(rebuilt[9]), np.isnan(x[9]))
    whole = of_mne(np.nan_to_num(x), ["C3"])[8]
    np.testing.assert_allclose(rebuilt[8, :100], whole[:100], atol=1e-9)
    without = of_mne(np.nan_to_num(x), ["C3", "Cz"])[8]
    np.testing.assert_allclose(rebuilt[8, 100:150], without[100:150], atol=1e-9)
    assert np.isfinite(rebuilt[8, 200])
    assert np.isnan(rebuilt[8, 250])
    x[3, 200] = np.nan
    assert np.isnan(interpolate_electrodes(x, RATE, ["C3"], channels=CHANNELS)[8, 200])


def test_broken_electrodes_are_found_and_rebuilt(mixture, rng):
    x = mixture[0].astype(np.float32)
    assert bad_electrodes(x, RATE, channels=CHANNELS) == ()
    broken = x.copy()
    broken[3] = 7.0
    broken[8] += 300 * rng.normal(size=x.shape[1])
    broken[14, : x.shape[1] * 2 // 3] = np.nan
    broken[17] = 10 * rng.normal(size=x.shape[1])
    assert bad_electrodes(broken, RATE, channels=CHANNELS) == ("F3", "C3", "Pz", "O1")
    rebuilt = interpolate_electrodes(broken, RATE, channels=CHANNELS)
    np.testing.assert_allclose(rebuilt, of_mne(np.nan_to_num(broken), ["F3", "C3", "Pz", "O1"]), atol=1e-4)
    np.testing.assert_array_equal(interpolate_electrodes(x, RATE, channels=CHANNELS), x)


def test_of_few_electrodes_none_stands_out_and_only_flat_and_missing_ones_are_broken(mixture):
    x = mixture[0][:3] * [[1], [1000], [1]]
    assert bad_electrodes(x, RATE, channels=CHANNELS[:3]) == ()
    assert bad_electrodes(x[:2], RATE, channels=CHANNELS[:2]) == ()
    x[2] = 5.0
    assert bad_electrodes(x, RATE, channels=CHANNELS[:3]) == ("F7",)


def test_a_majority_is_taken_for_sound_and_without_one_nothing_is_named(rng):
    x = rng.normal(size=(10, 2560)) + rng.normal(size=2560)
    for loud, expected in ((4, CHANNELS[:4]), (6, CHANNELS[6:10])):
        scaled = x * np.where(np.arange(10) < loud, 1000, 1)[:, np.newaxis]
        assert bad_electrodes(scaled, RATE, channels=CHANNELS[:10]) == expected
    scaled = x * np.where(np.arange(10) < 5, 1000, 1)[:, np.newaxis]
    with pytest.raises(DataError, match=r"5 of 10 electrodes stand out from the rest \(F4, .* Name the broken ones"):
        bad_electrodes(scaled, RATE, channels=CHANNELS[:10])
    with pytest.raises(DataError, match="5 of 10 electrodes stand out"):
        interpolate_electrodes(scaled, RATE, channels=CHANNELS[:10])


@pytest.mark.parametrize("rate", [0, np.nan, "128"])
def test_broken_electrodes_need_a_rate(mixture, rate):
    with pytest.raises(DataError, match="sampling rate must be a number of Hz above 0"):
        bad_electrodes(mixture[0], rate, channels=CHANNELS)


def peak_beside(x, apply):
    """Bytes that are taken beside the input, per byte of it."""
    tracemalloc.start()
    apply(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / x.nbytes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_recordings_take_no_more_than_three_times_their_memory(dtype, mixture, monkeypatch):
    x = np.tile(mixture[1].astype(dtype), 60)
    x[3] = 7.0
    x[5, 3000:3040] = np.nan
    interpolate_electrodes(x[:, :2560], RATE, channels=CHANNELS)  # what is imported is not counted
    assert peak_beside(x, lambda x: interpolate_electrodes(x, RATE, channels=CHANNELS)) < 2
    # what the fit takes does not grow with the recording
    monkeypatch.setattr(electrodes, "_fit_ica", lambda x, *_: (np.eye(len(x)), np.eye(len(x))))
    assert peak_beside(x, lambda x: ica(x, RATE, eog=["Fp1"], channels=CHANNELS)) < 3


@pytest.mark.parametrize(
    ("options", "mistake"),
    [
        ({"seed": -1}, "Seed must be a whole number from 0"),
        ({"seed": 1.5}, "Seed must be a whole number from 0"),
        ({"threshold": "a"}, "Threshold must lie between 0 and 1, found 'a'"),
        ({"threshold": np.nan}, "Threshold must lie between 0 and 1, found nan"),
        ({"n_components": 0.9}, "n_components must be a whole number above 1"),
    ],
)
def test_mistakes_from_python_are_named(mixture, options, mistake):
    with pytest.raises(DataError, match=f"(?i){mistake}"):
        ica(mixture[0], RATE, channels=CHANNELS, **options)


def test_a_rebuilt_electrode_depends_on_its_own_time_alone(mixture, rng):
    x = mixture[0][:, :200]
    other = x.copy()
    other[:, 100:] = rng.normal(size=(19, 100))
    other[5, 100:] = np.nan
    rebuilt = [interpolate_electrodes(each, RATE, ["C3"], causal=True, channels=CHANNELS) for each in (x, other)]
    np.testing.assert_allclose(rebuilt[0][:, :100], rebuilt[1][:, :100], rtol=1e-12)
    step = {"interpolate_electrodes": {"names": ["C3"], "causal": True}}
    assert parse_steps([step], modality="eeg").causal
    assert not parse_steps(["interpolate_electrodes"], modality="eeg").causal
    with pytest.raises(StudyError, match="auto looks at the whole recording"):
        parse_steps([{"interpolate_electrodes": {"causal": True}}], modality="eeg")


def test_electrodes_without_a_place_or_without_enough_others_are_refused(mixture):
    x = mixture[0][:7]
    with pytest.raises(DataError, match=r"position of EXG1, ECG is not known"):
        interpolate_electrodes(x, RATE, ["C3"], channels=("C3", "C4", "Cz", "EXG1", "ECG", "O1", "O2"))
    with pytest.raises(DataError, match="Several channels lie at T7"):
        interpolate_electrodes(x, RATE, ["C3"], channels=("C3", "C4", "Cz", "T3", "T7", "O1", "O2"))
    with pytest.raises(DataError, match="4 of 7 electrodes are broken; at least 4 others"):
        interpolate_electrodes(x, RATE, ["Fp1", "Fp2", "F7", "F3"], channels=CHANNELS[:7])
    with pytest.raises(DataError, match=r"There is no channel 'C33'. Did you mean 'C3'"):
        interpolate_electrodes(mixture[0], RATE, ["C33"], channels=CHANNELS)


@pytest.mark.parametrize(
    ("step", "mistake"),
    [
        ({"ica": {"eog": "Fp1"}}, "eog must be a list of channel names"),
        ({"ica": {"n_components": 1}}, "n_components must be a whole number above 1, found 1"),
        ({"ica": {"threshold": 1.5}}, "threshold must lie between 0 and 1, found 1.5"),
        ({"interpolate_electrodes": {"names": []}}, "at least one electrode"),
    ],
)
def test_mistakes_in_a_study_are_named(step, mistake):
    with pytest.raises(StudyError, match=mistake):
        parse_steps([step], modality="eeg")
