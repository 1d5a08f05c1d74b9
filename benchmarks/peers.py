"""The other libraries' side of `signals.py`, run by the interpreter of their own environment (see `peers.txt`).

A worker: each line of standard input asks for one run, as JSON: ``peer`` (a name in `PEERS`), ``windows`` (a .npy file
of shape (n_windows, n_channels, n_times)), ``rate`` in Hz, ``bands`` (pairs in Hz) and ``values`` (the .npy file to
write the result to). The answer is a line with ``seconds``, or with ``error``. The first line is the versions. Reading,
writing and importing are not timed.
"""

from __future__ import annotations

import json
import os
import sys

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import time
import warnings
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from typing import Any, TextIO

import numpy as np

DISTRIBUTIONS = ("mne-features", "torcheeg", "mne", "scikit-learn", "torch", "scipy", "numpy")

Bands = list[list[float]]
Action = Callable[[], np.ndarray]


def extract_features(windows: np.ndarray, rate: float, bands: Bands) -> Action:
    """Return band power as mne-features' users ask for it: by name, its defaults kept (Welch, share of the whole)."""
    from mne_features.feature_extraction import extract_features

    parameters = {"pow_freq_bands__freq_bands": np.array(bands)}
    shape = (*windows.shape[:2], len(bands))
    return lambda: extract_features(windows, rate, ["pow_freq_bands"], funcs_params=parameters).reshape(shape)


def pow_freq_bands(windows: np.ndarray, rate: float, bands: Bands, method: str) -> Action:
    """Return band power by the function itself, window after window, in squared units."""
    from mne_features.univariate import compute_pow_freq_bands

    edges = np.array(bands)
    shape = (*windows.shape[:2], len(bands))
    return lambda: np.array(
        [compute_pow_freq_bands(rate, window, edges, normalize=False, psd_method=method) for window in windows]
    ).reshape(shape)


def pow_freq_bands_fft(windows: np.ndarray, rate: float, bands: Bands) -> Action:
    """Return :func:`pow_freq_bands` from the plain Fourier transform."""
    return pow_freq_bands(windows, rate, bands, "fft")


def pow_freq_bands_welch(windows: np.ndarray, rate: float, bands: Bands) -> Action:
    """Return :func:`pow_freq_bands` by Welch's method, its default."""
    return pow_freq_bands(windows, rate, bands, "welch")


def band_differential_entropy(windows: np.ndarray, rate: float, bands: Bands) -> Action:
    """Return TorchEEG's differential entropy of band-passed windows, in bits, window after window."""
    from torcheeg.transforms import BandDifferentialEntropy

    named = {str(number): pair for number, pair in enumerate(bands)}
    transform = BandDifferentialEntropy(sampling_rate=int(rate), band_dict=named)
    return lambda: np.array([transform(eeg=window)["eeg"] for window in windows])


PEERS: dict[str, Callable[[np.ndarray, float, Bands], Action]] = {
    "extract_features": extract_features,
    "pow_freq_bands_fft": pow_freq_bands_fft,
    "pow_freq_bands_welch": pow_freq_bands_welch,
    "band_differential_entropy": band_differential_entropy,
}


@lru_cache(maxsize=2)
def read(file: str) -> np.ndarray:
    """Return an array that was asked for before without reading it again."""
    return np.load(file)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Run what a request asks for and return the seconds that it took."""
    try:
        action = PEERS[request["peer"]](read(request["windows"]), request["rate"], request["bands"])
        begin = time.perf_counter()
        values = action()
        seconds = time.perf_counter() - begin
        np.save(request["values"], values)
    except Exception as error:  # the one who asked has to say which row failed, and why
        return {"error": f"{type(error).__name__}: {error}"}
    return {"seconds": seconds}


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer until there are no more requests."""
    for line in requests:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


def main() -> None:
    """Serve standard input; what libraries print goes to standard error."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    print(json.dumps({name: version(name) for name in DISTRIBUTIONS}), file=answers, flush=True)
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
