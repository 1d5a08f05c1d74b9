"""The contract of all readers: what was written is what is read, lazily, wholly keyed, and damage stays where it is."""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import shutil
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora import CASES, Case, Expected, Written
from corpora.copying import copied, files_in, overwrite

from limbeck.datasets import available, guess, info, load
from limbeck.errors import DataError, LimbeckError, ReadError
from limbeck.recording import UNITS, Corpus, LeftOut, Recording, Source

# ---------------------------------------------------------------------------------------------------------------------
# Corpora, written once per case
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """A corpus on disk, and the folder that its writer was given."""

    case: Case
    home: Path
    written: Written

    def load(self, **options: Any) -> Corpus:
        return list_corpus(self.case, self.written, **options)

    def some(self, corpus: Corpus) -> list[Source]:
        """Return the sources to look at: all of a small corpus, one per subject of a large one."""
        if not self.case.heavy:
            return list(corpus.sources)
        return list({source.subject: source for source in corpus.sources}.values())

    def few(self, corpus: Corpus) -> list[Source]:
        """Return the sources to look at where subjects do not matter: of a large corpus, one."""
        return self.some(corpus)[: 1 if self.case.heavy else None]

    @cached_property
    def digests(self) -> dict[Key, tuple[int, str]]:
        """What its recordings say, as long as nobody changes it."""
        return digests(self.some(self.load()))


def list_corpus(case: Case, written: Written, **options: Any) -> Corpus:
    return load(case.dataset, written.root, **{**written.options, **options})


def write(case: Case, home: Path, seed: int) -> Written:
    home.mkdir()
    return case.write(home, np.random.default_rng(seed))


@pytest.fixture(scope="module", params=CASES, ids=str)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A corpus that no test changes."""
    home = tmp_path_factory.mktemp("made") / "corpus"
    yield Made(request.param, home, write(request.param, home, 0))
    shutil.rmtree(home)


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Iterator[Callable[[], Made]]:
    """Make copies of it, to be changed."""
    homes: list[Path] = []

    def make() -> Made:
        homes.append(tmp_path / f"copy{len(homes)}")
        return Made(made.case, homes[-1], copied(made.written, made.home, homes[-1]))

    yield make
    for home in homes:
        shutil.rmtree(home, ignore_errors=True)


# ---------------------------------------------------------------------------------------------------------------------
# Comparing
# ---------------------------------------------------------------------------------------------------------------------

Key = tuple[str, str, str]


def key_of(thing: Source | Recording | Expected) -> Key:
    return (thing.subject, thing.session, thing.trial)


def assert_as_written(recording: Recording, expected: Expected) -> None:
    assert (key_of(recording), recording.order) == (key_of(expected), expected.order)
    assert set(recording.signals) == set(expected.signals)
    for modality, signal in recording.signals.items():
        wanted = expected.signals[modality]
        assert signal.channels == wanted.channels
        assert signal.unit == UNITS[modality]
        assert signal.rate == pytest.approx(wanted.rate)
        assert signal.start == pytest.approx(wanted.start, abs=1e-6)
        assert signal.data.dtype == np.float32
        np.testing.assert_allclose(signal.data, wanted.data, rtol=wanted.rtol, atol=wanted.atol, err_msg=modality)
    assert recording.ratings == pytest.approx(expected.ratings, nan_ok=True)
    assert [event.name for event in recording.events] == [name for name, _, _ in expected.events]
    np.testing.assert_allclose(
        [(event.start, event.end) for event in recording.events],
        [(start, end) for _, start, end in expected.events],
        atol=1e-5,
    )
    assert set(recording.traces) == set(expected.traces)
    for name, (times, values) in expected.traces.items():
        np.testing.assert_allclose(recording.traces[name].times, times, atol=1e-5)
        np.testing.assert_allclose(recording.traces[name].values, values, rtol=1e-6)


def digest(recording: Recording) -> str:
    """Return a hash of everything that a recording says but its order, and its notes, which name files."""
    told = hashlib.sha256()
    told.update(repr((key_of(recording), sorted(recording.ratings.items()), recording.events)).encode())
    for modality, signal in sorted(recording.signals.items()):
        told.update(repr((modality, signal.rate, signal.channels, signal.unit, signal.start)).encode())
        told.update(repr(signal.data.shape).encode() + signal.data.tobytes())
    for name, trace in sorted(recording.traces.items()):
        told.update(name.encode() + trace.times.tobytes() + trace.values.tobytes())
    told.update(repr(sorted(recording.clocks.items())).encode())
    return told.hexdigest()


def digests(sources: Sequence[Source]) -> dict[Key, tuple[int, str]]:
    """Return order and hash by recording."""
    recordings = (source.read() for source in sources)
    return {key_of(recording): (recording.order, digest(recording)) for recording in recordings}


# ---------------------------------------------------------------------------------------------------------------------
# What is read
# ---------------------------------------------------------------------------------------------------------------------


def test_every_reader_is_held_to_this() -> None:
    exempt = {name for name in available() if info(name).access in ("simulated", "unread")}
    exempt |= {"joined"}  # has no files of its own
    assert {case.dataset for case in CASES} == set(available()) - exempt


def check_all(corpus: Corpus, written: Written) -> None:
    assert [key_of(source) for source in corpus.sources] == [key_of(e) for e in written.recordings]
    for expected, recording in zip(written.recordings, corpus, strict=True):
        assert_as_written(recording, expected)


def test_what_was_written_is_read(made: Made) -> None:
    assert len({e.subject for e in made.written.recordings}) > 1, "only where there are two can they be mixed up"
    check_all(made.load(), made.written)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4))])
@pytest.mark.parametrize("case", [case for case in CASES if not case.heavy], ids=str)
def test_whatever_the_order_in_which_things_were_shown(case: Case, seed: int, tmp_path: Path) -> None:
    written = write(case, tmp_path / "corpus", seed)
    check_all(list_corpus(case, written), written)
    shutil.rmtree(tmp_path / "corpus")


def test_recordings_are_well_formed(made: Made) -> None:
    for source in made.few(made.load()):
        recording = source.read()
        assert key_of(recording) == key_of(source)
        held = 0
        for modality, signal in recording.signals.items():
            assert signal.unit in (UNITS[modality], "a.u.")
            assert np.isfinite(signal.rate)
            assert np.isfinite(signal.start)
            assert len(set(signal.channels)) == len(signal.channels)
            assert not np.isinf(signal.data).any()
            base = signal.data if signal.data.base is None else signal.data.base
            held += getattr(base, "nbytes", 0)
        assert held <= 4 * sum(signal.data.nbytes for signal in recording.signals.values()) + 4096, (
            "a view of a part keeps the whole in memory"
        )
        assert all(0 <= event.start <= event.end for event in recording.events)
        for trace in recording.traces.values():
            assert (np.diff(trace.times) >= 0).all()
            assert trace.times.dtype == np.float64
            assert trace.values.dtype == np.float32


def test_a_corpus_is_read_the_same_twice(made: Made) -> None:
    first, second = made.load(), made.load()
    assert [key_of(s) for s in first.sources] == [key_of(s) for s in second.sources]
    assert [s.fingerprint() for s in made.few(first)] == [s.fingerprint() for s in made.few(second)]
    once, again = digests(made.few(first)), digests(made.few(first))
    assert once == again == digests(made.few(second))


def test_identities_and_fingerprints_tell_recordings_apart(made: Made) -> None:
    corpus = made.load()
    assert len({key_of(source) for source in corpus.sources}) == len(corpus)
    assert len({source.fingerprint() for source in corpus.sources}) == len(corpus)
    for source in corpus.sources:
        assert source.files
        assert source.modules
        assert all(file.is_file() for file in source.files), "a folder's content is not part of the fingerprint"
        assert all(module in sys.modules for module in source.modules)


def test_iterating_again_lists_nothing_twice(made: Made) -> None:
    corpus = made.load()
    if made.case.heavy:
        corpus.sources = tuple(made.few(corpus))
    n_first = sum(1 for _ in corpus)
    left_out = list(corpus.left_out)
    assert sum(1 for _ in corpus) == n_first
    assert corpus.left_out == left_out


def test_the_layout_is_recognised(made: Made) -> None:
    assert guess(made.written.root) == (made.written.guessed or made.case.dataset)


def test_subjects_are_chosen_by_name(made: Made) -> None:
    corpus = made.load()
    last = corpus.subjects[-1]
    for wanted in ([last], last):
        chosen = made.load(subjects=wanted)
        assert chosen.subjects == (last,)
        assert [key_of(s) for s in chosen.sources] == [key_of(s) for s in corpus.sources if s.subject == last]
    assert digest(chosen.sources[0].read()) == digest(next(s for s in corpus.sources if s.subject == last).read())
    with pytest.raises(DataError, match="nobody-at-all"):
        made.load(subjects=["nobody-at-all"])


def test_options_that_there_are_not_are_refused_with_the_one_meant(made: Made) -> None:
    with pytest.raises(DataError, match="Did you mean 'subjects'"):
        made.load(subject=["x"])


def test_a_root_that_is_not_there_or_empty_is_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        load(made.case.dataset, tmp_path / "nowhere", **made.written.options)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError) as refused:
        load(made.case.dataset, tmp_path / "empty", **made.written.options)
    assert "empty" in str(refused.value)
    with pytest.raises(ReadError):
        guess(tmp_path / "empty")


# ---------------------------------------------------------------------------------------------------------------------
# Lazily, and in worker processes
# ---------------------------------------------------------------------------------------------------------------------

_watched: list[set[Path]] = []


def _note_open(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _watched and isinstance(arguments[0], str | bytes):
        path = arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0]
        _watched[-1].add(Path(path).absolute())


sys.addaudithook(_note_open)  # one cannot be taken off again; it does nothing while nobody watches


class opened:  # noqa: N801 - used as a function
    """Collect the files that are opened, as far as Python opens them."""

    def __enter__(self) -> set[Path]:
        _watched.append(set())
        return _watched[-1]

    def __exit__(self, *exception: object) -> None:
        _watched.pop()


def below(paths: set[Path], folder: Path) -> set[Path]:
    return {path.resolve() for path in paths if path.resolve().is_relative_to(folder.resolve()) and path.is_file()}


def test_listing_opens_no_file_of_samples(made: Made) -> None:
    assert made.written.signal_files
    assert set(made.written.listing_opens) <= set(made.written.signal_files)
    with opened() as paths:
        made.load()
    allowed = {file.resolve() for file in made.written.listing_opens}
    assert not below(paths, made.home) & {file.resolve() for file in made.written.signal_files} - allowed


def test_reading_one_recording_opens_only_its_files(made: Made) -> None:
    corpus = made.load()
    seen: set[Path] = set()
    for source in made.some(corpus):
        with opened() as paths:
            source.read()
        assert below(paths, made.home) <= {file.resolve() for file in source.files}
        seen |= {file.resolve() for file in source.files}
    assert seen >= {file.resolve() for file in made.written.signal_files}, "every file of samples is some recording's"


def test_one_recording_is_in_memory_at_a_time(made: Made) -> None:
    corpus = made.load()
    earlier: list[weakref.ref[Any]] = []
    recordings = iter(corpus)
    for _ in range(min(len(corpus), 4)):
        recording = next(recordings)
        if any(reference() is not None for reference in earlier):
            gc.collect()  # what only a cycle holds is not kept for long
        assert not [reference for reference in earlier if reference() is not None]
        earlier = [weakref.ref(recording), *(weakref.ref(signal.data) for signal in recording.signals.values())]
        del recording


@pytest.fixture(scope="module")
def worker() -> Iterator[ProcessPoolExecutor]:
    """A process that has imported nothing but what a source brings with it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def test_a_worker_process_reads_the_same(made: Made, worker: ProcessPoolExecutor) -> None:
    source = made.load().sources[-1]
    assert digest(worker.submit(source.read).result(timeout=120)) == digest(source.read())


# ---------------------------------------------------------------------------------------------------------------------
# The cache key is whole
# ---------------------------------------------------------------------------------------------------------------------


def test_a_fingerprint_changes_with_every_file_of_its_recording(copy: Callable[[], Made]) -> None:
    made = copy()
    source = made.load().sources[0]
    before = source.fingerprint()
    for file in source.files[:8]:
        content = file.read_bytes()
        overwrite(file, content[:-1] + bytes([content[-1] ^ 1]))
        assert source.fingerprint() != before, file
        overwrite(file, content)
        assert source.fingerprint() == before


def _altered(content: bytes, rng: np.random.Generator) -> bytes:
    """Return the bytes with one digit changed; in files without digits, one byte."""
    array = np.frombuffer(content, np.uint8).copy()
    digits = np.flatnonzero((array >= 0x30) & (array <= 0x39))
    place = int(rng.choice(digits)) if len(digits) else int(rng.integers(len(array)))
    array[place] = 0x30 + (array[place] - 0x30 + 1 + rng.integers(8)) % 10 if len(digits) else array[place] ^ 1
    return array.tobytes()


def test_what_changes_a_recording_changes_its_fingerprint(copy: Callable[[], Made]) -> None:
    """Tables of labels, questionnaires, side files: those read at listing count as much as those read later."""
    made = copy()
    corpus = made.load()
    looked_at = made.few(corpus)[:: -(-len(corpus) // 6)]
    before = {key_of(s): (s.fingerprint(), digest(s.read())) for s in looked_at}
    covered = {file.resolve() for source in corpus.sources for file in source.files}
    rng = np.random.default_rng(4)
    for file in [file for file in files_in(made.home) if file.resolve() not in covered][:5]:
        content = file.read_bytes()
        for _ in range(5 if content else 0):
            overwrite(file, _altered(content, rng))
            try:
                after = {key_of(s): s for s in made.load().sources if key_of(s) in before}
            except LimbeckError:
                continue  # a table of labels without which there is no corpus
            for key, source in after.items():
                try:
                    read = digest(source.read())
                except ReadError:
                    continue
                fingerprint = source.fingerprint()
                assert (fingerprint != before[key][0]) or (read == before[key][1]), (file, key)
        overwrite(file, content)


# ---------------------------------------------------------------------------------------------------------------------
# Folders as they come
# ---------------------------------------------------------------------------------------------------------------------


def relative(left_out: Sequence[LeftOut], home: Path) -> list[str]:
    return sorted(f"{item.what}: {item.why}".replace(str(home), "") for item in left_out)


def test_files_of_the_operating_system_change_nothing(made: Made, copy: Callable[[], Made]) -> None:
    if made.written.root.is_file():
        pytest.skip("the corpus is a file")
    other = copy()
    for folder in [other.written.root, *(path for path in other.written.root.rglob("*") if path.is_dir())]:
        inner = [path for path in sorted(folder.iterdir()) if path.is_file()]
        (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
        (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
        (folder / "__MACOSX").mkdir()
        for file in inner[:2]:
            (folder / f"._{file.name}").write_bytes(b"\0\5\x16\7")
            (folder / "__MACOSX" / f"._{file.name}").write_bytes(b"\0\5\x16\7")
            shutil.copy(file, folder / "__MACOSX" / file.name)
    plain, sprinkled = made.load(), other.load()
    assert [key_of(source) for source in sprinkled.sources] == [key_of(source) for source in plain.sources]
    found = digests(made.few(sprinkled))
    assert found == {key: made.digests[key] for key in found}
    assert relative(sprinkled.left_out, other.home) == relative(plain.left_out, made.home)
    assert guess(other.written.root) == (made.written.guessed or made.case.dataset)


def test_one_folder_around_the_corpus_changes_nothing(made: Made, copy: Callable[[], Made], tmp_path: Path) -> None:
    if made.written.root.is_file() or not made.written.nests:
        pytest.skip("every level of folders means something")
    other = copy()
    (tmp_path / "download").mkdir()
    inner = other.written.root.rename(tmp_path / "download" / "archive-1.0")
    nested, plain = list_corpus(made.case, Written(inner.parent, (), made.written.options)), made.load()
    assert [key_of(source) for source in nested.sources] == [key_of(source) for source in plain.sources]
    found = digests(made.few(nested))
    assert found == {key: made.digests[key] for key in found}
    assert relative(nested.left_out, inner) == relative(plain.left_out, made.written.root)
    shutil.rmtree(inner.parent)


def test_a_link_that_leads_out_is_not_followed_and_reported(copy: Callable[[], Made], tmp_path: Path) -> None:
    made = copy()
    if made.written.root.is_file():
        pytest.skip("the corpus is a file")
    whole = made.load()
    linked = made.written.signal_files[0]
    away = tmp_path / "elsewhere" / linked.name
    away.parent.mkdir()
    linked.rename(away)
    linked.symlink_to(away)
    with opened() as paths:
        left_out, found = _iterate(made)
    assert not below(paths, away.parent)
    assert any("link" in item.why for item in left_out)
    assert {key_of(source) for source in made.some(whole) if linked not in source.files} <= found.keys()


def _iterate(made: Made) -> tuple[list[LeftOut], dict[Key, str]]:
    """Read everything; a corpus that cannot be listed at all is one entry left out."""
    try:
        corpus = made.load()
    except ReadError as error:
        return [LeftOut(error.file, str(error))], {}
    if made.case.heavy:
        corpus.sources = tuple(made.some(corpus))
    found = {key_of(recording): digest(recording) for recording in corpus}
    return corpus.left_out, found


def _listed(made: Made) -> set[Key]:
    try:
        return {key_of(source) for source in made.load().sources}
    except ReadError:
        return set()


def _inside_a_number(content: bytes) -> int:
    """Return a place behind two thirds that lies between two digits: a text cut between rows looks whole."""
    start = 2 * len(content) // 3
    places = (k for k in range(start, len(content)) if content[k - 1 : k + 1].isdigit())
    return next(places, start)


@pytest.mark.parametrize("damage", ["emptied", "cut", "deleted", "a folder"])
def test_a_damaged_file_costs_its_own_recordings_only(made: Made, copy: Callable[[], Made], damage: str) -> None:
    other = copy()
    broken = other.written.signal_files[-1]
    if broken == other.written.root and damage in ("deleted", "a folder"):
        pytest.skip("the corpus is this file")
    whole = made.load()
    place = other.home
    own = {
        key_of(source)
        for source in whole.sources
        if any(file.relative_to(made.home) == broken.relative_to(place) for file in source.files)
    }
    expected = {key: told for key, (_, told) in made.digests.items() if key not in own}
    content = broken.read_bytes()
    broken.unlink()
    if damage == "emptied":
        broken.write_bytes(b"")
    elif damage == "cut":
        broken.write_bytes(content[: _inside_a_number(content)])
    elif damage == "a folder":
        broken.mkdir()
    left_out, found = _iterate(other)
    assert {key: found.get(key) for key in expected} == expected
    if damage in ("emptied", "cut") or own & _listed(other):  # of a file that is gone, nothing may be known
        text = " ".join(f"{item.what} {item.why}" for item in left_out)
        assert any(name in text for name in (broken.name, broken.stem, broken.parent.name))
