"""Asymmetry finds the pairs of electrodes of the literature and relates them as it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError, StudyError
from limbeck.signals import (
    FEATURES,
    FRONTAL_POSTERIOR,
    LEFT_RIGHT,
    asymmetry,
    band_power,
    differential_entropy,
    parse_steps,
)
from limbeck.signals.asymmetry import electrode_pairs

DEAP = """
Fp1 AF3 F3 F7 FC5 FC1 C3 T7 CP5 CP1 P3 P7 PO3 O1 Oz Pz Fp2 AF4 Fz F4 F8 FC6 FC2 Cz C4 T8 CP6 CP2 P4 P8 PO4 O2
"""
SEED = """
FP1 FPZ FP2 AF3 AF4 F7 F5 F3 F1 FZ F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCZ FC2 FC4 FC6 FT8 T7 C5 C3 C1 CZ C2 C4 C6 T8 TP7 CP5
CP3 CP1 CPZ CP2 CP4 CP6 TP8 P7 P5 P3 P1 PZ P2 P4 P6 P8 PO7 PO5 PO3 POZ PO4 PO6 PO8 CB1 O1 OZ O2 CB2
"""
CHANNELS = ("F3", "F4", "Cz", "P3", "P4")


def columns(channels, **options):
    parameters = {"bands": "standard", "kinds": ("dasm",), "of": "de", "pairs": None} | options
    return FEATURES["asymmetry"].columns(channels=tuple(channels), **parameters)


def test_the_published_numbers_of_pairs_are_found():
    for cap, left_right, frontal_posterior in ((DEAP, 14, 11), (SEED, 27, 23)):
        channels = cap.split()
        assert len(electrode_pairs(channels, LEFT_RIGHT)) == left_right
        assert len(electrode_pairs(channels, FRONTAL_POSTERIOR)) == frontal_posterior


def test_every_pair_mirrors_left_to_right_and_none_is_there_twice():
    assert ("Fp1", "Fp2") in LEFT_RIGHT
    assert ("TP9", "TP10") in LEFT_RIGHT
    for left, right in LEFT_RIGHT:
        assert left[-1] in "13579"
        assert right.rstrip("0123456789") == left.rstrip("0123456789")
    for table in (LEFT_RIGHT, FRONTAL_POSTERIOR):
        assert len(set(table)) == len(table)


def test_old_names_and_other_spelling_are_the_same_electrodes():
    assert electrode_pairs(("t4", "T5", "T3", "FP2", "T6", "fp1"), LEFT_RIGHT) == ((5, 3), (2, 0), (1, 4))


def test_differences_and_ratios_are_those_of_entropy_or_of_log_power(rng):
    x = rng.normal(size=(3, 5, 512))
    bands = {"theta": (4, 8), "alpha": (8, 13)}
    for of, measure in (("de", differential_entropy(x, 128, bands)), ("log_power", band_power(x, 128, bands))):
        values = asymmetry(x, 128, bands, ("dasm", "rasm", "dcau"), of=of, channels=CHANNELS)
        f3, f4, _, p3, p4 = np.moveaxis(measure, -2, 0)
        expected = [f3 - f4, p3 - p4, f3 / f4, p3 / p4, f3 - p3, f4 - p4]
        np.testing.assert_allclose(values, np.concatenate(expected, axis=-1), rtol=1e-12)
    assert columns(CHANNELS, bands=bands, kinds=("dasm", "rasm", "dcau")) == tuple(
        (pair, f"{kind}.{band}")
        for kind, pairs in (("dasm", ("F3-F4", "P3-P4")), ("rasm", ("F3-F4", "P3-P4")), ("dcau", ("F3-P3", "F4-P4")))
        for pair in pairs
        for band in bands
    )


@given(st.permutations(range(5)), st.floats(0.01, 100), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_the_order_of_channels_does_not_matter_nor_a_gain_for_differences(order, gain, seed):
    x = np.random.default_rng(seed).normal(size=(2, 5, 256))
    names = tuple(CHANNELS[place] for place in order)
    kinds = ("dasm", "dcau")
    values = asymmetry(x, 128, kinds=kinds, channels=CHANNELS)
    np.testing.assert_allclose(asymmetry(gain * x[:, order], 128, kinds=kinds, channels=names), values, atol=1e-9)
    assert columns(names, kinds=kinds) == columns(CHANNELS, kinds=kinds)
    np.testing.assert_allclose(asymmetry(x[1], 128, kinds=kinds, channels=CHANNELS), values[1], atol=1e-12)


def test_pairs_may_be_named(rng):
    x = rng.normal(size=(4, 5, 256)).astype(np.float32)
    values = asymmetry(x, 128, [[8, 13]], pairs=[["P4", "Cz"]], channels=CHANNELS)
    entropy = differential_entropy(x, 128, [[8, 13]])
    np.testing.assert_allclose(values, entropy[:, 4] - entropy[:, 2], rtol=1e-6)
    assert values.dtype == np.float32
    assert columns(CHANNELS, bands=[[8, 13]], pairs=[["P4", "Cz"]]) == (("P4-Cz", "dasm.8-13"),)


def test_missing_samples_and_constants_give_nan_in_their_pairs_only(rng):
    x = rng.normal(size=(2, 5, 256))
    bad = x.copy()
    bad[0, 0, 3] = np.nan
    bad[1, 4] = 0.1
    values, clean = (asymmetry(each, 128, [[8, 13]], ("dasm", "dcau"), channels=CHANNELS) for each in (bad, x))
    expected = np.array([[True, False, True, False], [False, True, False, True]])
    np.testing.assert_array_equal(np.isnan(values), expected)
    np.testing.assert_array_equal(values[~expected], clean[~expected])


def test_what_is_missing_is_said(rng):
    x = rng.normal(size=(2, 2, 256))
    with pytest.raises(DataError, match="dasm needs pairs of electrodes, left and right"):
        asymmetry(x, 128, channels=("F3", "Cz"))
    with pytest.raises(DataError, match="dcau needs pairs of electrodes, front and back, such as Fp1-O1"):
        asymmetry(x, 128, kinds=("dcau",), channels=("F3", "F4"))
    with pytest.raises(DataError, match="no channel 'P9'"):
        asymmetry(x, 128, pairs=[["F3", "P9"]], channels=("F3", "F4"))
    with pytest.raises(DataError, match="channels"):
        asymmetry(x, 128)
    with pytest.raises(StudyError) as caught:
        parse_steps(
            [{"features": [{"asymmetry": {"of": "log_powr"}}, {"asymmetry": {"pairs": ["F3"]}}]}], modality="eeg"
        )
    assert any("Did you mean 'log_power'" in mistake for mistake in caught.value.mistakes)
    assert any("pairs must be a list of pairs" in mistake for mistake in caught.value.mistakes)
    with pytest.raises(StudyError, match="give them in two features"):
        parse_steps(
            [{"features": [{"asymmetry": {"kinds": ["dasm", "dcau"], "pairs": [["F3", "F4"]]}}]}], modality="eeg"
        )


def test_a_pipeline_tells_the_channels_and_names_the_columns(rng):
    pipeline = parse_steps([{"features": [{"asymmetry": [[[8, 13]]]}]}], modality="eeg")
    seen = pipeline.on_windows(rng.normal(size=(3, 5, 256)), 128, CHANNELS)
    assert seen.features == ("eeg.F3-F4.asymmetry.dasm.8-13", "eeg.P3-P4.asymmetry.dasm.8-13")
    assert seen.data.shape == (3, 2)
