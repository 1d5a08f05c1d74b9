"""Signals and features beside the libraries that compute the same, in one run and on one thread.

Peers that Limbeck does not need itself live in an environment of their own (`peers.txt`, made by `make bench-signals`)
and are run by a worker (`peers.py`) that times its own work. Ours and theirs run in turn on the same arrays, each once
before it counts where a run takes less than a few seconds; the shortest time of each is shown. Where two definitions
are the same, the table says how far the numbers differ.
"""

from __future__ import annotations

import os

# Before NumPy counts the cores: all that is compared runs on one.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import multiprocessing
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from limbeck import __version__, datasets, signals

ROOT = Path(__file__).resolve().parents[1]
STATUS = Path("/proc/self/status")
"""Where Linux says how much memory a process has and has had at most."""

BANDS = {"theta": (4, 8), "alpha": (8, 12), "low_beta": (12, 16), "high_beta": (16, 25), "gamma": (25, 45)}
RATE = 128.0
ORDER = 5
"""Of TorchEEG's band-pass filters, its default."""


@dataclass(frozen=True)
class Peer:
    """Who computes the same as ours.

    Parameters
    ----------
    name : str
        Library and function.
    run : callable
        Runs it once and returns the seconds that it took.
    times : int
        How often it is run at most; 1 for what takes so long that the noise is small.
    target : float or None
        How many times as fast ours shall be.
    remark : callable
        What is to be said of the numbers; called behind the last run.
    """

    name: str
    run: Callable[[], float]
    times: int = 3
    target: float | None = None
    remark: Callable[[], str] = lambda: ""


@dataclass(frozen=True)
class Case:
    """What is computed, by ours and by its peers.

    Parameters
    ----------
    title, name : str
        What is computed; our function.
    run : callable
        Runs ours once.
    peers : tuple of Peer
    """

    title: str
    name: str
    run: Callable[[], Any]
    peers: tuple[Peer, ...] = ()


@dataclass
class Verdicts:
    """Targets met, missed and not tried, and what failed."""

    met: int = 0
    missed: list[str] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def judge(self, what: str, met: bool) -> str:
        """Count a target and return the word for it."""
        if met:
            self.met += 1
        else:
            self.missed.append(what)
        return "met" if met else "MISSED"

    def __str__(self) -> str:
        lines = [f"Targets met: {self.met} of {self.met + len(self.missed)}."]
        for title, which in (("Missed", self.missed), ("Not tried", self.untried), ("Failed", self.failed)):
            lines += [f"{title}: {what}" for what in which]
        return "\n".join(lines)


class PeerError(Exception):
    """A peer could not compute what it was asked for."""


class Worker:
    """The process in the peers' environment.

    Parameters
    ----------
    interpreter : Path
        Python of that environment.
    folder : Path
        Where arrays are handed over.
    """

    def __init__(self, interpreter: Path, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [interpreter, ROOT / "benchmarks" / "peers.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.versions: dict[str, str] = self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise PeerError(f"the worker ended with status {self.process.wait()}; run benchmarks/peers.py by hand")
        return json.loads(line)

    def run(self, peer: str, windows: Path, bands: Sequence[Sequence[float]]) -> float:
        """Return the seconds of a peer's run; :meth:`values` has what it computed."""
        request = {
            "peer": peer,
            "windows": str(windows),
            "rate": RATE,
            "bands": [list(map(float, pair)) for pair in bands],
            "values": str(self.folder / f"{peer}.npy"),
        }
        assert self.process.stdin is not None
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
        except BrokenPipeError as error:
            raise PeerError("the worker has ended") from error
        answer = self._answer()
        if "error" in answer:
            raise PeerError(answer["error"])
        return float(answer["seconds"])

    def values(self, peer: str) -> np.ndarray:
        """Return what a peer's last run computed."""
        return np.load(self.folder / f"{peer}.npy")

    def close(self) -> None:
        """Let the process end."""
        self.process.communicate()


@contextmanager
def peers_at_work(environment: Path, folder: Path) -> Iterator[Worker | None]:
    """Start the worker, or say that its environment is not there."""
    interpreter = environment / "bin" / "python"
    if not interpreter.exists():
        print(f"peers: skipped, there is no environment {environment.name}; `make bench-signals` makes it")
        yield None
        return
    worker = Worker(interpreter, folder)
    try:
        print("peers:", ", ".join(f"{name} {number}" for name, number in worker.versions.items()))
        yield worker
    finally:
        worker.close()


def seconds(action: Callable[[], Any]) -> float:
    """Return how long a run takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def compare(case: Case, repeats: int, verdicts: Verdicts) -> None:
    """Run a case, ours and its peers' in turn, and print a line for each."""
    print(f"\n{case.title}")
    case.run()
    ours = float("inf")
    theirs = {peer.name: float("inf") for peer in case.peers}
    failed: dict[str, str] = {}
    for peer in case.peers:
        if min(peer.times, repeats) > 1:
            attempt(peer, failed)
    for turn in range(repeats):
        ours = min(ours, seconds(case.run))
        for peer in case.peers:
            if turn < peer.times and peer.name not in failed:
                theirs[peer.name] = min(theirs[peer.name], attempt(peer, failed))
    show(case.name, ours)
    for peer in case.peers:
        if peer.name in failed:
            verdicts.failed.append(f"{peer.name}: {failed[peer.name]}")
            print(f"  {peer.name:<58} failed: {failed[peer.name]}")
            continue
        ratio = theirs[peer.name] / ours
        target = ""
        if peer.target is not None:
            word = verdicts.judge(f"{case.title}: {ratio:.1f} times as fast as {peer.name}", ratio >= peer.target)
            target = f"≥ {peer.target:g} {word}"
        show(peer.name, theirs[peer.name], f"{ratio:.1f}", target, peer.remark())


def attempt(peer: Peer, failed: dict[str, str]) -> float:
    """Return the seconds of a run, infinite if it fails: the other rows are still of use."""
    try:
        return peer.run()
    except PeerError as error:
        failed[peer.name] = str(error)
        return float("inf")


def show(name: str, taken: float, ratio: str = "", target: str = "", remark: str = "") -> None:
    """Print a line of the table."""
    print(f"  {name:<58} {taken:>9.4f} {ratio:>8}  {target:<12}{remark}".rstrip(), flush=True)


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference as a share of the largest number."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def band_cases(worker: Worker | None, folder: Path, n_windows: int) -> Iterator[Case]:
    """Yield band power and both forms of differential entropy of windows of EEG, and what is like them."""
    x = np.random.default_rng(0).normal(size=(n_windows, 32, 128))
    file = folder / "windows.npy"
    np.save(file, x)
    size = f"of {n_windows}×32×128 float64"
    pairs = list(BANDS.values())
    # the same bins for a peer that counts both edges in
    between = [(low - 0.5, high - 0.5) for low, high in pairs]

    def of_worker(peer: str, name: str, bands: Sequence[Sequence[float]] = pairs, **options: Any) -> tuple[Peer, ...]:
        if worker is None:
            return ()
        return (Peer(name, lambda: worker.run(peer, file, bands), **options),)

    def power() -> np.ndarray:
        return signals.band_power(x, RATE, BANDS, log=False, taper="boxcar")

    def parseval() -> np.ndarray:
        return signals.differential_entropy(x, RATE, BANDS, form="parseval")

    def variance() -> np.ndarray:
        return signals.differential_entropy(x, RATE, BANDS, form="variance", order=ORDER, unit="bits")

    def same_power() -> str:
        assert worker is not None
        return f"same numbers, to {difference(power(), worker.values('pow_freq_bands_fft')):.0e} of the largest"

    def same_parseval() -> str:
        assert worker is not None
        theirs = np.log(2 * np.pi * np.e * worker.values("pow_freq_bands_fft")) / 2
        return f"its ½ ln 2πeP is the same, to {np.abs(parseval() - theirs).max():.0e} nat"

    def same_variance() -> str:
        assert worker is not None
        theirs = worker.values("band_differential_entropy")
        return f"same numbers, to {np.abs(variance() - theirs).max():.0e} bit"

    extractor = of_worker(
        "extract_features",
        "mne-features extract_features(['pow_freq_bands'])",
        target=20.0,
        remark=lambda: "Welch (Hamming), as shares",
    )
    welch = of_worker(
        "pow_freq_bands_welch", "mne-features compute_pow_freq_bands, Welch", remark=lambda: "Welch (Hamming)"
    )

    def fft(remark: Callable[[], str]) -> tuple[Peer, ...]:
        return of_worker("pow_freq_bands_fft", "mne-features compute_pow_freq_bands, FFT", between, remark=remark)

    yield Case(f"band power, five bands, {size}", "limbeck band_power", power, (*extractor, *welch, *fft(same_power)))
    yield Case(
        f"differential entropy from the Fourier transform (Parseval), five bands, {size}",
        "limbeck differential_entropy, parseval",
        parseval,
        (*extractor, *welch, *fft(same_parseval)),
    )
    yield Case(
        f"differential entropy from the variance of causal band-pass filters, five bands, {size}",
        "limbeck differential_entropy, variance",
        variance,
        of_worker(
            "band_differential_entropy",
            "TorchEEG BandDifferentialEntropy",
            times=1,
            target=20.0,
            remark=same_variance,
        ),
    )


def array_cases(n_windows: int) -> Iterator[Case]:
    """Yield a filter and running band power beside loops over windows that call SciPy."""
    from scipy import integrate, signal

    x = np.random.default_rng(0).normal(size=(n_windows, 32, 128))

    def filter_windows() -> np.ndarray:
        return np.array(
            [signal.sosfiltfilt(signal.butter(4, [4, 45], "bandpass", fs=RATE, output="sos"), window) for window in x]
        )

    filtered = f"same numbers, to {difference(signals.bandpass(x, RATE, 4, 45), filter_windows()):.0e} of the largest"
    yield Case(
        f"zero-phase band-pass of {n_windows}×32×128 float64",
        "limbeck bandpass",
        lambda: signals.bandpass(x, RATE, 4, 45),
        (Peer("SciPy, window by window", lambda: seconds(filter_windows), remark=lambda: filtered),),
    )

    rate, bands = 256, signals.BAND_SETS["zhang2022"]
    eeg = np.random.default_rng(1).normal(size=(32, 60 * rate))
    low, high = min(a for a, _ in bands.values()), max(b for _, b in bands.values())

    def run() -> np.ndarray:
        return signals.running_bandpower(
            eeg, rate, "zhang2022", log=False, relative=True, method="welch", integral="simpson"
        )

    def share(frequencies: np.ndarray, density: np.ndarray, edges: tuple[float, float]) -> np.ndarray:
        inside = (frequencies >= edges[0]) & (frequencies <= edges[1])
        return integrate.simpson(density[:, inside], x=frequencies[inside], axis=-1)

    def loop() -> np.ndarray:
        values = []
        for end in range(2 * rate, eeg.shape[1] + 1, rate // 4):
            frequencies, density = signal.welch(eeg[:, end - 2 * rate : end], rate, nperseg=rate, noverlap=rate // 2)
            whole = share(frequencies, density, (low, high))
            values.append(np.concatenate([share(frequencies, density, edges) / whole for edges in bands.values()]))
        return np.array(values).T

    yield Case(
        f"running band power, 60 s of 32 channels at {rate} Hz to {32 * len(bands)} values at 4 Hz",
        "limbeck running_bandpower",
        run,
        (
            Peer(
                "SciPy, window by window",
                lambda: seconds(loop),
                remark=lambda: f"same numbers, to {difference(run(), loop()):.0e} of the largest",
            ),
        ),
    )


def wearable_cases() -> Iterator[Case]:
    """Yield the features of wearable sensors beside neurokit2's processing of the same signals."""
    import neurokit2 as nk

    rate, length = 512, 60
    simulated = {
        "eda": nk.eda_simulate(duration=length, sampling_rate=rate, scr_number=6, random_state=0),
        "ecg": nk.ecg_simulate(duration=length, sampling_rate=rate, heart_rate=70, random_state=0),
        "emg": nk.emg_simulate(duration=length, sampling_rate=rate, burst_number=6, random_state=0),
    }
    windows = {modality: (np.asarray(x)[np.newaxis, np.newaxis], float(rate)) for modality, x in simulated.items()}
    process = {"eda": nk.eda_process, "ecg": nk.ecg_process, "emg": nk.emg_process}
    size = f"{length} s at {rate} Hz"

    found: dict[str, Any] = {}

    def ours(*modalities: str) -> Callable[[], Any]:
        return lambda: signals.extract("wearable", {modality: windows[modality] for modality in modalities})

    def theirs(*modalities: str) -> Callable[[], float]:
        def run() -> None:
            for modality in modalities:
                found[modality], _ = process[modality](simulated[modality], sampling_rate=rate)

        def timed() -> float:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return seconds(run)

        return timed

    def column(ending: str) -> float:
        values, names = ours(*simulated)()
        return float(values[0, next(index for index, name in enumerate(names) if name.endswith(ending))])

    remarks = {
        "eda": lambda: f"{column('.scr_rate'):.0f} responses per min, theirs {found['eda']['SCR_Peaks'].sum()}",
        "ecg": lambda: f"{column('.hr'):.2f} beats per min, theirs {found['ecg']['ECG_Rate'].mean():.2f}",
        "emg": lambda: "",
    }
    for modality in simulated:
        peer = Peer(f"neurokit2 {modality}_process", theirs(modality), remark=remarks[modality])
        yield Case(f"wearable features of {modality.upper()}, {size}", "limbeck extract", ours(modality), (peer,))
    yield Case(
        f"wearable features of EDA, ECG and EMG, {size}",
        "limbeck extract",
        ours(*simulated),
        (Peer("neurokit2 eda_process + ecg_process + emg_process", theirs(*simulated), target=20.0),),
    )


def measure_eegmat(folder: Path, n_files: int | None, verdicts: Verdicts) -> None:
    """Print how long it takes to read EEGMAT and to compute the band power of windows of 4 s."""
    length, target = 4, 5.0
    title = f"band power of EEGMAT, windows of {length} s"
    print(f"\n{title}")
    if not folder.is_dir():
        print(f"  skipped: there is no folder {folder.name}; name it with --eegmat")
        verdicts.untried.append(title)
        return
    reading = computing = 0.0
    n_recordings = n_windows = 0
    begin = time.perf_counter()
    for recording in datasets.load("eegmat", folder):
        eeg = recording.signals["eeg"]
        samples = round(length * eeg.rate)
        windows = eeg.data[:, : eeg.data.shape[1] // samples * samples].reshape(len(eeg.data), -1, samples)
        reading += time.perf_counter() - begin
        computing += seconds(lambda windows=windows, rate=eeg.rate: signals.band_power(windows, rate, "standard"))
        n_recordings += 1
        n_windows += windows.shape[1]
        if n_recordings == n_files:
            break
        begin = time.perf_counter()
    word = verdicts.judge(f"{title}: {reading + computing:.1f} s", reading + computing <= target)
    show(f"limbeck datasets, reading {n_recordings} recordings", reading)
    show(f"limbeck band_power, {n_windows} windows of 19 channels", computing)
    show("both", reading + computing, "", f"≤ {target:g} s {word}")


def recording(megabytes: float) -> np.ndarray:
    """Return 32 channels of noise, float32, as a reader gives them."""
    return np.random.default_rng(0).standard_normal((32, int(megabytes * 1e6 / 4 / 32)), dtype=np.float32)


def gappy_recording(megabytes: float) -> np.ndarray:
    """Return a recording of which a tenth of a second is missing after every 10 s of 256 Hz."""
    x = recording(megabytes)
    for first in range(2560, x.shape[1], 2560):
        x[:, first : first + 26] = np.nan
    return x


def windows(megabytes: float) -> np.ndarray:
    """Return windows of 32 channels of 1 s at 128 Hz, float64."""
    return np.random.default_rng(0).standard_normal((int(megabytes * 1e6 / 8 / 4096), 32, 128))


def windows32(megabytes: float) -> np.ndarray:
    """Return windows of 32 channels of 1 s at 128 Hz, float32."""
    return np.random.default_rng(0).standard_normal((int(megabytes * 1e6 / 4 / 4096), 32, 128), dtype=np.float32)


def minutes(megabytes: float) -> np.ndarray:
    """Return windows of one channel of 60 s at 512 Hz, float32."""
    return np.random.default_rng(0).standard_normal((int(megabytes * 1e6 / 4 / 30720) + 1, 1, 30720), dtype=np.float32)


Make = Callable[[float], np.ndarray]
Compute = Callable[[np.ndarray], Any]

ELECTRODES = tuple(f"E{number}" for number in range(32))

MEMORY: dict[str, tuple[Make, Compute]] = {
    "bandpass, zero-phase": (recording, lambda x: signals.bandpass(x, 256, 1, 40)),
    "bandpass, zero-phase, with gaps": (gappy_recording, lambda x: signals.bandpass(x, 256, 1, 40)),
    "bandpass, causal": (recording, lambda x: signals.bandpass(x, 256, 1, 40, causal=True)),
    "bandpass, causal, with gaps": (gappy_recording, lambda x: signals.bandpass(x, 256, 1, 40, causal=True)),
    "bandpass, FIR": (recording, lambda x: signals.bandpass(x, 256, 1, 40, method="fir")),
    "notch": (recording, lambda x: signals.notch(x, 256, 50)),
    "resample, 256 to 128 Hz": (recording, lambda x: signals.resample(x, 256, 128)),
    "resample, 256 to 100 Hz": (recording, lambda x: signals.resample(x, 256, 100)),
    "resample, 256 to 512 Hz": (recording, lambda x: signals.resample(x, 256, 512)),
    "decimate, by 4, with gaps": (gappy_recording, lambda x: signals.decimate(x, 256, 4)),
    "hampel": (recording, lambda x: signals.hampel(x, 256)),
    "interpolate": (gappy_recording, lambda x: signals.interpolate(x, 256)),
    "reference, average": (recording, lambda x: signals.reference(x, 256, "average", channels=ELECTRODES)),
    "running_bandpower, zhang2022": (recording, lambda x: signals.running_bandpower(x, 256, "zhang2022")),
    "detrend": (windows, lambda x: signals.detrend(x, RATE)),
    "band_power": (windows, lambda x: signals.band_power(x, RATE, BANDS)),
    "band_power, float32": (windows32, lambda x: signals.band_power(x, RATE, BANDS)),
    "band_power, Welch": (windows, lambda x: signals.band_power(x, RATE, BANDS, method="welch", segment=0.5)),
    "differential_entropy, parseval": (windows, lambda x: signals.differential_entropy(x, RATE, BANDS)),
    "differential_entropy, parseval, float32": (windows32, lambda x: signals.differential_entropy(x, RATE, BANDS)),
    "differential_entropy, variance": (
        windows,
        lambda x: signals.differential_entropy(x, RATE, BANDS, form="variance"),
    ),
    "differential_entropy, variance, float32": (
        windows32,
        lambda x: signals.differential_entropy(x, RATE, BANDS, form="variance"),
    ),
    "statistics": (windows, lambda x: signals.statistics(x, RATE)),
    "envelope": (minutes, lambda x: signals.envelope(x, 512)),
    "decompose, both parts": (minutes, lambda x: signals.decompose(x, 512)),
    "heart": (minutes, lambda x: signals.heart(x, 512)),
    "emg": (minutes, lambda x: signals.emg(x, 512)),
    "eda": (minutes, lambda x: signals.eda(x, 512)),
    "quality of ECG": (minutes, lambda x: signals.quality(x, 512, "ecg")),
}


def resident(what: str) -> int:
    """Return this process's resident memory in bytes: now (``VmRSS``) or at most so far (``VmHWM``)."""
    line = next(line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith(what))
    return int(line.split()[1]) * 1024


def peak_beyond_input(make: Make, compute: Compute, megabytes: float) -> tuple[float, float]:
    """Return the peak of resident memory beyond what was there before, as a multiple of the input, and the seconds.

    In a fresh process: what it had at most before counts, too.
    """
    compute(make(1.0))  # imports and designs are not the array's
    x = make(megabytes)
    before = resident("VmRSS")
    taken = seconds(lambda: compute(x))
    return (resident("VmHWM") - before) / x.nbytes, taken


def memory_of(name: str, megabytes: float) -> tuple[float, float]:
    """Return :func:`peak_beyond_input` of an entry of `MEMORY`."""
    return peak_beyond_input(*MEMORY[name], megabytes)


def measure_memory(names: Sequence[str], megabytes: float, verdicts: Verdicts) -> None:
    """Print the peak of memory of each function, each in a process of its own."""
    most = 3.0
    print(f"\npeak memory beyond the input, output included, in sizes of an input of {megabytes:g} MB")
    print(
        "  (a fresh process each: its highest resident memory less that before the call; imports and designs are done)"
    )
    if not STATUS.exists():
        print("  skipped: this system has no /proc")
        verdicts.untried.append("peak memory")
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
        for name in names:
            multiple, taken = processes.submit(memory_of, name, megabytes).result()
            word = verdicts.judge(f"memory of {name}: {multiple:.2f} times its input", multiple <= most)
            show(name, taken, f"× {multiple:.2f}", f"≤ {most:g} {word}")


def machine() -> str:
    """Return machine and versions in a line."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    libraries = ", ".join(f"{library} {version(library)}" for library in ("numpy", "scipy", "neurokit2"))
    return (
        f"{name}, {os.cpu_count()} cores, 1 thread used; load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, {libraries}, limbeck {__version__}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the table; the status says whether everything ran, not whether the targets were met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small arrays and no repeats: does it run?")
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-peers", help="the peers' environment")
    parser.add_argument(
        "--eegmat", type=Path, default=ROOT.parent / "shared" / "data" / "eegmat", help="EEGMAT as published"
    )
    chosen = parser.parse_args(arguments)
    repeats = 1 if chosen.quick else 7
    n_windows = 20 if chosen.quick else 1000
    verdicts = Verdicts()
    print(f"Signals and features beside their peers, one thread; seconds, best of up to {repeats}")
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with peers_at_work(chosen.peers, folder) as worker:
            print(f"\n{'':<60} {'seconds':>9} {'times as':>8}  target")
            print(f"{'':<60} {'':>9} {'fast':>8}")
            for case in band_cases(worker, folder, n_windows):
                compare(case, repeats, verdicts)
            if worker is None:
                verdicts.untried.append("ratios to mne-features and TorchEEG")
    for case in (*wearable_cases(), *array_cases(n_windows)):
        compare(case, repeats, verdicts)
    measure_eegmat(chosen.eegmat, 2 if chosen.quick else None, verdicts)
    measure_memory(list(MEMORY)[:1] if chosen.quick else list(MEMORY), 4.0 if chosen.quick else 100.0, verdicts)
    print(f"\n{verdicts}")
    return 1 if verdicts.failed else 0


if __name__ == "__main__":
    sys.exit(main())
