"""Downloading published files, from a server on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from limbeck.datasets import fetch as module
from limbeck.datasets.fetch import checksums, fetch, fetchable
from limbeck.errors import DataError, DownloadError

FILES = {"README.txt": b"read me", "Raw data/S01/ACC.csv": b"1\n2\n" * 5000, "Raw data/S01/tags#1.csv": b""}


class Server(ThreadingHTTPServer):
    """A file server that remembers what was asked for, and fails the first times where told to."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.failures: dict[str, int] = {}
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/files"


class Handler(SimpleHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        name = self.path.rsplit("/", 1)[1]
        if self.server.failures.get(name, 0) > 0:
            self.server.failures[name] -= 1
            self.send_error(503)
            return
        super().do_GET()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with the files, and a published list that names them."""
    for name, content in FILES.items():
        file = tmp_path / "served" / "files" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    listed = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(module, "checksums", lambda name: listed)
    serving = Server(tmp_path / "served")
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield serving
    serving.shutdown()
    thread.join()
    serving.server_close()


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_all_published_files_arrive_under_their_paths(server: Server, tmp_path: Path) -> None:
    steps: list[tuple[int, int, str]] = []
    target = tmp_path / "got"
    assert fetch("eegmat", target, base_url=server.url, progress=lambda *step: steps.append(step)) == target
    assert content(target) == FILES
    assert steps == [(i, 3, name) for i, name in enumerate(FILES)] + [(3, 3, "")]


def test_what_is_there_and_right_is_not_downloaded_again(server: Server, tmp_path: Path) -> None:
    fetch("eegmat", tmp_path / "got", base_url=server.url)
    (tmp_path / "got" / "README.txt").unlink()
    server.asked.clear()
    fetch("eegmat", tmp_path / "got", base_url=server.url + "/")
    assert server.asked == ["/files/README.txt"]
    assert content(tmp_path / "got") == FILES


def test_a_file_that_differs_is_not_overwritten_unless_asked(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "got"
    target.mkdir()
    (target / "README.txt").write_bytes(b"my own notes")
    with pytest.raises(DownloadError, match=r"not the published ones:\n  - README\.txt\nNothing was downloaded"):
        fetch("eegmat", target, base_url=server.url)
    assert content(target) == {"README.txt": b"my own notes"}
    assert server.asked == []
    fetch("eegmat", target, base_url=server.url, overwrite=True)
    assert content(target) == FILES


def test_a_download_that_is_not_the_published_file_is_thrown_away_and_the_others_kept(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "served" / "files" / "README.txt").write_bytes(b"tampered")
    with pytest.raises(DownloadError, match=r"README\.txt: the file is not the published one"):
        fetch("eegmat", tmp_path / "got", base_url=server.url, retries=0)
    assert content(tmp_path / "got") == {name: c for name, c in FILES.items() if name != "README.txt"}
    (tmp_path / "served" / "files" / "README.txt").write_bytes(FILES["README.txt"])
    fetch("eegmat", tmp_path / "got", base_url=server.url, retries=0)
    assert content(tmp_path / "got") == FILES


def test_a_failed_download_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.failures["README.txt"] = 1
    fetch("eegmat", tmp_path / "got", base_url=server.url, retries=1)
    assert server.asked.count("/files/README.txt") == 2
    assert content(tmp_path / "got") == FILES


def test_a_missing_file_on_the_server_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "served" / "files" / "README.txt").unlink()
    with pytest.raises(DownloadError, match=r"1 files of 'eegmat'.*\n.*README\.txt: 404"):
        fetch("eegmat", tmp_path / "got", base_url=server.url, retries=0)


def test_a_server_out_of_reach_is_given_up_early(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="Given up after 3 failures in a row"):
        fetch("eegmat", tmp_path / "got", base_url="http://127.0.0.1:9/", retries=0)


def test_a_link_in_the_target_that_leads_out_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "got").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "got" / "Raw data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DownloadError, match="a link leads out"):
        fetch("eegmat", tmp_path / "got", base_url=server.url)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_files_go_where_the_reader_looks(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path / "data"))
    assert fetch("stress-predict", base_url=server.url) == tmp_path / "data" / "stress-predict"


@pytest.mark.parametrize("path", ["../x.csv", "/x.csv", "a/../../x.csv", "..\\x.csv", "C:/x.csv"])
def test_a_list_with_a_path_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(DataError, match=r"row 1: the path .* leads out"):
        module._parse(f"{'0' * 64}  {path}\n", "list.txt")


def test_a_garbled_list_is_refused() -> None:
    with pytest.raises(DataError, match=r"list\.txt, row 2: found 'junk'; expected a SHA-256 and a path"):
        module._parse(f"{'0' * 64}  a\njunk\n", "list.txt")


def test_the_published_lists_ship_with_the_package(shared_data: Path) -> None:
    assert fetchable() == ["eegmat", "stress-predict"]
    assert {name: len(checksums(name)) for name in fetchable()} == {"eegmat": 75, "stress-predict": 283}
    for name in fetchable():
        listed = checksums(name)
        # Only the raw recordings lie there unchanged; the tables are cut to the subjects.
        file = next(p for p in listed if p.endswith(("_1.edf", "EDA.csv")) and (shared_data / name / p).is_file())
        assert hashlib.sha256((shared_data / name / file).read_bytes()).hexdigest() == listed[file]


def test_what_cannot_be_fetched_says_so() -> None:
    with pytest.raises(DataError, match=r"'eegmad' cannot be fetched\. Did you mean 'eegmat'\?"):
        fetch("eegmad")


def test_what_cannot_be_fetched_is_met_with_how_it_is_got() -> None:
    with pytest.raises(DataError, match=r"'wesad' cannot be fetched.*UCI repository"):
        checksums("wesad")
    with pytest.raises(DataError, match="Did you mean 'eegmat'"):
        checksums("eegmatt")
