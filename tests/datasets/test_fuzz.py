"""Whatever happens to its files, a reader gives recordings or one of Limbeck's own errors.

Corpora are damaged and then read in a process of their own, which is allowed 10 s of the processor and 2 GiB of memory
beyond what an undamaged corpus takes.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from corpora import CASES, Case, Written
from corpora.copying import copied, files_in, overwrite
from corpora.worker import CPU_SECONDS, Job, Outcome, receive, send
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_WALL_SECONDS = 12 * CPU_SECONDS  # a process that hangs in C, or that waits, on a machine that is busy
_LIGHT = [case for case in CASES if not case.heavy]
_QUICK = -(-200 // len(_LIGHT))  # examples per case in the default tier
_MANY = 100  # examples per case in the slow tier

# ---------------------------------------------------------------------------------------------------------------------
# Damage
# ---------------------------------------------------------------------------------------------------------------------

Damage = tuple[str, float, float, int]
"""What is done; to which file and where in it, each as a fraction; and the seed of whatever else it takes."""

_WORDS = (b"", b"nan", b"1e999", b"-1", b"0", b"9" * 40, b"\0", b"\xff\xfe", b"n/a", b'"', b"\n", b"1e-99999999")


def _place(content: bytes, where: float) -> int:
    """Return a place; half of all lie in the first few hundred bytes, where headers are."""
    if where < 0.5:
        return int(2 * where * min(len(content), 600))
    return int((2 * where - 1) * len(content))


def _truncated(content: bytes, where: float, rng: np.random.Generator) -> bytes:
    return content[: _place(content, where)]


def _flipped(content: bytes, where: float, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    first = _place(content, where)
    for k in range(first, min(first + int(rng.integers(1, 9)), len(changed))):
        changed[k] ^= int(rng.integers(1, 256))
    return bytes(changed)


def _erased(content: bytes, where: float, rng: np.random.Generator) -> bytes:
    first, size = _place(content, where), int(rng.choice([1, 4, 8, 64, 512]))
    fill = bytes([int(rng.choice([0, 0xFF, 0x20, 0x39]))])
    return content[:first] + (fill * size)[: len(content) - first] + content[first + size :]


def _cut_out(content: bytes, where: float, rng: np.random.Generator) -> bytes:
    first = _place(content, where)
    return content[:first] + content[first + int(rng.choice([1, 3, 50, 3000])) :]


def _doubled(content: bytes, where: float, rng: np.random.Generator) -> bytes:
    first = _place(content, where)
    part = content[first : first + int(rng.choice([1, 3, 50, 3000]))]
    return content[:first] + part + content[first:]


def _reordered(content: bytes, where: float, rng: np.random.Generator) -> bytes:
    mark = b"\n" if b"\n" in content[:4096] else content[:1] or b"\n"
    first = _place(content, where)
    head, tail = content[:first], content[first:].split(mark, 40)
    return head + mark.join([tail[k] for k in rng.permutation(len(tail))])


def _reworded(content: bytes, where: float, rng: np.random.Generator) -> bytes:
    """Put another word where one stands: between two separators of a table."""
    first = _place(content, where)
    marks = [k for k in range(first, min(first + 200, len(content))) if content[k : k + 1] in b",;\t\n \"<>:{}[]'="]
    start, end = (marks[0] + 1, marks[1]) if len(marks) > 1 else (first, first + 4)
    return content[:start] + _WORDS[int(rng.integers(len(_WORDS)))] + content[end:]


_CONTENT: dict[str, Callable[[bytes, float, np.random.Generator], bytes]] = {
    "truncate": _truncated,
    "flip": _flipped,
    "erase": _erased,
    "cut out": _cut_out,
    "double": _doubled,
    "reorder": _reordered,
    "reword": _reworded,
}
_FILES = ("delete", "duplicate", "exchange", "replace by a folder", "empty")


def apply(damage: Damage, home: Path) -> None:
    """Damage one file of a corpus."""
    kind, which, where, seed = damage
    files = files_in(home)
    if not files:
        return
    rng = np.random.default_rng(seed)
    file = files[min(int(which * len(files)), len(files) - 1)]
    other = files[int(rng.integers(len(files)))]
    if kind in _CONTENT:
        overwrite(file, _CONTENT[kind](file.read_bytes(), where, rng))
    elif kind == "delete":
        file.unlink()
    elif kind == "duplicate":
        shutil.copy(file, file.with_name(f"{file.stem} (1){file.suffix}"))
        shutil.copy(file, other.parent / file.name) if other.parent != file.parent else None
    elif kind == "exchange":
        mine, theirs = file.read_bytes(), other.read_bytes()
        overwrite(file, theirs)
        overwrite(other, mine)
    elif kind == "replace by a folder":
        file.unlink()
        file.mkdir()
    else:
        overwrite(file, b"")


_SHARE = st.floats(0, 1, exclude_max=True, allow_subnormal=False)
_DAMAGES = st.lists(
    st.tuples(st.sampled_from([*_CONTENT, *_CONTENT, *_FILES]), _SHARE, _SHARE, st.integers(0, 2**32 - 1)),
    min_size=1,
    max_size=3,
)

# ---------------------------------------------------------------------------------------------------------------------
# A process that reads
# ---------------------------------------------------------------------------------------------------------------------


class Reader:
    """A worker process, started again whenever it ends."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._measure: Job | None = None

    def ask(self, job: Job, whole: Job) -> Outcome:
        """Have a corpus read; `whole` is an undamaged one of the kind, which says what memory it takes."""
        if self._process is None or self._measure is not whole:
            self._measure = whole
            first = self._answer(whole)
            assert first.kind in ("read", "left out"), first.text
        return self._answer(job)

    def _started(self) -> subprocess.Popen[bytes]:
        worker = Path(__file__).with_name("corpora") / "worker.py"
        return subprocess.Popen(
            [sys.executable, "-P", str(worker)],  # -P: the names beside it are no modules
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def _answer(self, job: Job) -> Outcome:
        process = self._process = self._process or self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        send(process.stdin, vars(job))
        ready, _, _ = select.select([process.stdout], [], [], _WALL_SECONDS)
        answer = receive(process.stdout) if ready else None
        if answer is not None:
            return Outcome(**answer)
        why = f"the process ended with {process.wait()}" if ready else f"no answer in {_WALL_SECONDS:g} s"
        self.close()
        return Outcome("failed", why)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    one = Reader()
    yield one
    one.close()


class Fuzzed:
    """A written corpus, read again and again after damage."""

    def __init__(self, case: Case, home: Path, reader: Reader) -> None:
        home.mkdir()
        self.case, self.home, self._reader = case, home, reader
        self.written = case.write(home, np.random.default_rng(0))
        self.outcomes: Counter[str] = Counter()
        self._whole = self._job(self.written, whole=True)

    def _job(self, written: Written, *, whole: bool = False) -> Job:
        subjects = {expected.subject for expected in written.recordings}
        most = 2 if self.case.heavy else max(2, 24 // len(subjects))
        return Job(self.case.dataset, written.root, written.options, most, whole)

    def read_after(self, damages: list[Damage]) -> Outcome:
        with tempfile.TemporaryDirectory(dir=self.home.parent) as folder:
            copy = copied(self.written, self.home, Path(folder) / "copy")
            for damage in damages:
                apply(damage, Path(folder) / "copy")
            outcome = self._reader.ask(self._job(copy), self._whole)
        self.outcomes[outcome.kind] += 1
        return outcome


@pytest.fixture(scope="module", params=CASES, ids=str)
def fuzzed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, reader: Reader
) -> Iterator[Fuzzed]:
    home = tmp_path_factory.mktemp("fuzz") / "corpus"
    yield Fuzzed(request.param, home, reader)
    shutil.rmtree(home)


def hold(fuzzed: Fuzzed, examples: int, *, derandomize: bool) -> None:
    """Damage the corpus in many ways; fail with the least damage that a reader does not survive."""
    if fuzzed.case.heavy:
        examples = -(-examples // 4)

    @settings(
        max_examples=examples,
        derandomize=derandomize,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(damages=_DAMAGES)
    def survives(damages: list[Damage]) -> None:
        outcome = fuzzed.read_after(damages)
        assert outcome.kind != "failed", f"{fuzzed.case} after {damages}:\n{outcome.text}"

    survives()


def test_damaged_files_end_in_recordings_or_in_errors_of_limbeck(fuzzed: Fuzzed) -> None:
    hold(fuzzed, _QUICK, derandomize=True)


@pytest.mark.slow
def test_files_damaged_in_very_many_ways(fuzzed: Fuzzed, capsys: pytest.CaptureFixture[str]) -> None:
    fuzzed.outcomes.clear()
    hold(fuzzed, _MANY, derandomize=False)
    with capsys.disabled():
        counts = ", ".join(f"{kind} {n}" for kind, n in sorted(fuzzed.outcomes.items()))
        print(f"\n{fuzzed.case}: {sum(fuzzed.outcomes.values())} damaged corpora: {counts}")


# ---------------------------------------------------------------------------------------------------------------------
# The guards
# ---------------------------------------------------------------------------------------------------------------------

_FAULTY = """
import ctypes, time
import numpy as np
from limbeck.datasets import DATASETS, DatasetInfo, dataset
from limbeck.errors import ReadError
from limbeck.recording import Corpus, Recording, Signal, Source

def hang():
    while True:
        try:
            sum(range(1000))
        except Exception:
            pass

def signal(value):
    data = np.full((1, 9), value, dtype=np.float32)
    return Recording("s", {"ecg": Signal(data, 1.0, ("ECG",), "mV")})

def refuse():
    raise ReadError("file", found="rubbish", expected="a recording")

FAULTS = {
    "hangs": hang,
    "floods": lambda: np.ones(1 << 30),
    "crashes": lambda: ctypes.string_at(0),
    "raises": lambda: {}["key"],
    "overflows": lambda: signal(np.inf),
    "reads": lambda: signal(1.0),
    "refuses": refuse,
}
about = DatasetInfo("", (), 0, "", "", "", "own", "")
for name, read in FAULTS.items():
    if name not in DATASETS:
        dataset(name, info=about)(lambda root, read=read: Corpus("faulty", (Source("s", read),)))
"""


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        ("hangs", "failed", "more than 0.5 s"),
        ("floods", "failed", "MemoryError"),
        ("crashes", "failed", "the process ended with -11"),
        ("raises", "failed", "KeyError"),
        ("overflows", "failed", "infinite samples of ecg"),
        ("refuses", "left out", ""),
        ("reads", "read", ""),
    ],
)
def test_a_reader_that_fails_is_found_out_and_the_next_is_read(
    tmp_path: Path, reader: Reader, fault: str, kind: str, text: str
) -> None:
    (tmp_path / "faults.py").write_text(_FAULTY)
    fine = Job("reads", tmp_path, {}, 1, whole=True, prelude=tmp_path / "faults.py")
    outcome = reader.ask(Job(fault, tmp_path, {}, 1, cpu_seconds=0.5), fine)
    assert (outcome.kind, text in outcome.text) == (kind, True), outcome.text
    assert reader.ask(Job("reads", tmp_path, {}, 1, prelude=tmp_path / "faults.py"), fine).kind == "read"
