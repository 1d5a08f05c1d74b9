"""Channels are found by name, and an EEG is referred to what the study names."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError, StudyError
from limbeck.recording import Signal
from limbeck.signals import electrode_name, match_channels, parse_steps, pick, reference

CHANNELS = ("Fp1", "F3", "F4", "T3", "M1", "M2")


def run(x, steps, channels=CHANNELS):
    return parse_steps(steps, modality="eeg").on_recording(Signal(np.float32(x), 128.0, channels, "µV"))


@pytest.mark.parametrize("name", ["T7", "t7", "T3", "EEG T3", "EEG T7-REF", "eeg t3-LE", " T7.. ", "EEG_T7"])
def test_names_of_one_electrode_are_alike(name):
    assert electrode_name(name) == "t7"


def test_names_of_other_electrodes_are_not():
    names = ["T4", "T5", "P8", "F3-F4", "EEG A2-A1", "EEG", "CP3"]
    assert len({electrode_name(name) for name in [*names, "T7"]}) == 8


def test_channels_are_matched_exactly_first_and_by_alias_then():
    assert match_channels(["T7", "fp1", "F4"], CHANNELS) == [3, 0, 2]
    assert match_channels(["T3"], ("T7", "T3")) == [1]
    with pytest.raises(DataError, match="'t3' may be any of T7, T3; write it exactly"):
        match_channels(["t3"], ("T7", "T3"))
    with pytest.raises(DataError, match=r"no channel 'F33'. Did you mean 'F3'\? There is no channel 'Q'. Allowed: F3"):
        match_channels(["F33", "Q"], CHANNELS)


def test_pick_keeps_channels_in_the_order_in_which_they_are_named(rng):
    x = rng.normal(size=(6, 50)).astype(np.float32)
    picked = run(x, [{"pick": {"names": ["T7", "F3"]}}])
    assert picked.channels == ("T3", "F3")
    np.testing.assert_array_equal(picked.data, x[[3, 1]])
    assert run(x, [{"pick": "F4"}]).channels == ("F4",)
    assert pick(np.zeros((2, 3, 9)), 4, ["z"], channels=("x", "y", "z")).shape == (2, 1, 9)


def test_the_average_reference_takes_the_mean_over_the_channels_off(rng):
    x = rng.normal(100, 10, size=(2, 6, 50))
    np.testing.assert_allclose(reference(x, 128, channels=CHANNELS), x - x.mean(axis=1, keepdims=True))
    without = reference(x, 128, exclude=["fp1", "M1"], channels=CHANNELS)
    np.testing.assert_allclose(without, x - x[:, [1, 2, 3, 5]].mean(axis=1, keepdims=True))
    assert run(x[0], [{"reference": "average"}]).channels == CHANNELS


def test_a_missing_channel_does_not_take_the_average_along(rng):
    x = rng.normal(size=(6, 50)).astype(np.float32)
    x[2, 10:20] = np.nan
    x[:, 30] = np.nan
    x[0, 31] = np.inf
    referenced = reference(x, 128, channels=CHANNELS)
    assert referenced.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(referenced), ~np.isfinite(x))
    others = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(referenced[others, 15], x[others, 15] - x[others, 15].mean(), rtol=1e-5, atol=1e-6)


def test_linked_mastoids_are_found_or_named_and_may_be_dropped(rng):
    x = rng.normal(size=(6, 50))
    mastoids = x[[4, 5]].mean(axis=0)
    np.testing.assert_allclose(reference(x, 128, "linked", channels=CHANNELS), x - mastoids, atol=1e-12)
    named = reference(x, 128, "linked", channels_of=["F3", "f4", "T7"], channels=CHANNELS)
    np.testing.assert_allclose(named, x - x[[1, 2, 3]].mean(axis=0), atol=1e-12)
    dropped = run(x, [{"reference": {"kind": "linked", "drop": True}}])
    assert dropped.channels == ("Fp1", "F3", "F4", "T3")
    np.testing.assert_allclose(dropped.data, (x - mastoids)[:4], atol=1e-5)
    ears = reference(x, 128, "linked", channels=("EEG A1", "EEG A2", "F3", "F4", "M1", "M2"))
    np.testing.assert_allclose(ears, x - x[[0, 1]].mean(axis=0), atol=1e-12)
    x[4, 7] = np.nan
    assert np.isnan(reference(x, 128, "linked", channels=CHANNELS)[:, 7]).all()
    with pytest.raises(DataError, match="needs A1 and A2, M1 and M2, TP9 and TP10 among the channels"):
        reference(x[:3], 128, "linked", channels=CHANNELS[:3])


def test_one_channel_is_a_reference_too(rng):
    x = rng.normal(size=(6, 50))
    referenced = reference(x, 128, "T7", channels=CHANNELS)
    np.testing.assert_allclose(referenced, x - x[3])
    assert (referenced[3] == 0).all()
    assert run(x, [{"reference": {"kind": "T7", "drop": True}}]).channels == ("Fp1", "F3", "F4", "M1", "M2")
    with pytest.raises(DataError, match="There is no channel 'averge'"):
        reference(x, 128, "averge", channels=CHANNELS)


def test_pairs_become_channels(rng):
    x = rng.normal(size=(6, 50)).astype(np.float32)
    bipolar = run(x, [{"reference": {"kind": "bipolar", "pairs": [["F3", "F4"], ["Fp1", "T7"], ["F4", "F3"]]}}])
    assert bipolar.channels == ("F3-F4", "Fp1-T7", "F4-F3")
    np.testing.assert_array_equal(bipolar.data, [x[1] - x[2], x[0] - x[3], x[2] - x[1]])


@given(st.floats(0.01, 100), st.floats(-100, 100), st.permutations(range(6)), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_scale_shift_and_the_order_of_channels(scale, shift, order, seed):
    x = np.random.default_rng(seed).normal(size=(2, 6, 30))
    names = tuple(CHANNELS[index] for index in order)
    for options in ({}, {"kind": "linked"}, {"kind": "Fp1"}, {"exclude": ("F3",)}):
        referenced = reference(x, 128, channels=CHANNELS, **options)
        np.testing.assert_allclose(
            reference(x[:, order], 128, channels=names, **options), referenced[:, order], atol=1e-12
        )
        moved = reference(scale * x + shift, 128, channels=CHANNELS, **options)
        np.testing.assert_allclose(moved, scale * referenced, atol=1e-9 * (scale + abs(shift)))
        each = np.stack([reference(one, 128, channels=CHANNELS, **options) for one in x])
        np.testing.assert_allclose(each, referenced, atol=1e-12)


def test_every_reference_and_pick_reads_one_time_only(rng):
    x = rng.normal(size=(6, 40))
    other = x.copy()
    other[:, 20:] = rng.normal(size=(6, 20))
    for steps in ({"reference": "average"}, {"reference": "linked"}, {"reference": "F3"}, {"pick": "F3"}):
        assert parse_steps([steps], modality="eeg").causal
        np.testing.assert_array_equal(run(x, [steps]).data[:, :20], run(other, [steps]).data[:, :20])


def test_channels_must_be_known_and_be_the_last_axis_but_one(rng):
    x = rng.normal(size=(6, 40))
    with pytest.raises(DataError, match=r"found shape \(6, 40\) and 0 names. Pass channels"):
        reference(x, 128)
    with pytest.raises(DataError, match=r"found shape \(40,\) and 6 names"):
        pick(x[0], 128, ["F3"], channels=CHANNELS)
    with pytest.raises(DataError, match="at least 2 channels that count for it; found 1 of 6"):
        reference(x, 128, exclude=CHANNELS[1:], channels=CHANNELS)


@pytest.mark.parametrize(
    ("step", "mistake"),
    [
        ({"reference": "bipolar"}, "bipolar needs pairs of channels"),
        ({"reference": {"kind": "bipolar", "pairs": [["F3"]]}}, r"a pair is two channel names, .* found \['F3'\]"),
        ({"reference": {"kind": "bipolar", "pairs": [["T3", "T7"]]}}, "a pair names a channel twice"),
        ({"reference": {"kind": "bipolar", "pairs": [["F3", "F4"]] * 2}}, "names a pair twice"),
        ({"reference": {"pairs": [["F3", "F4"]]}}, "pairs are for kind bipolar, not for average"),
        ({"reference": {"channels_of": ["A1", "A2"]}}, "channels_of is for kind linked, not for average"),
        ({"reference": {"kind": "linked", "channels_of": "A1"}}, "channels_of must be a list of channel names"),
        ({"reference": {"kind": "linked", "exclude": ["A1"]}}, "exclude is for kind average, not for linked"),
        ({"reference": {"drop": True}}, "drop is for a reference of named channels, not for average"),
        ({"reference": 3}, "kind must be average, linked, bipolar or the name of a channel, found 3"),
        ({"pick": {"names": []}}, "at least one channel"),
        ({"pick": {"names": ["F3", "f3"]}}, "names a channel twice"),
        ({"pick": 3}, "names must be a list of channel names, found 3"),
    ],
)
def test_mistakes_in_a_study_are_named(step, mistake):
    with pytest.raises(StudyError, match=mistake):
        parse_steps([step], modality="eeg")


def test_another_set_of_sensors_is_told_in_one_sentence():
    with pytest.raises(DataError) as caught:
        match_channels(["AF3", "FC5", "Fp1", "PO3"], ["Fp1", "Fp2"])
    assert str(caught.value) == "3 of 4 channels are not there: AF3, FC5, PO3; there are Fp1, Fp2."
