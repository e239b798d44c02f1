"""Against a server on this machine, which cuts connections, forgets ranges and serves other files as asked."""

import hashlib
import http.server
import re
import threading

import numpy as np
import pytest

from purecnn.data import published
from purecnn.data.published import PUBLISHED, fetch

CONTENT = np.random.default_rng(0).bytes(300_000)


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; `cut` bytes into an answer it hangs up, `times` times; every request's Range is in `asked`."""

    daemon_threads = True
    files: dict[str, bytes]
    cut, times, ranges = 10**9, 0, True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked = files, []
        self.address = f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append((self.path[1:], asked))
        data = self.server.files.get(self.path[1:])
        if data is None:
            return self.send_error(404)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.server.ranges else 0
        if start and start >= len(data):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("Content-Encoding", "x-gzip")  # as some servers say of a .tar.gz; it must not be unpacked
        self.end_headers()
        data = data[start:]
        if self.server.times > 0:
            self.server.times -= 1
            data = data[: self.server.cut]
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    with Server({"a.bin": CONTENT, "b.bin": b"second"}) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        checksums = {name: hashlib.md5(data).hexdigest() for name, data in server.files.items()}
        monkeypatch.setitem(PUBLISHED, "mnist", (server.address, checksums))
        yield server
        server.shutdown()
        thread.join()


def test_the_files_come_once_into_the_cache(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PURECNN_CACHE", str(tmp_path))
    seen = []
    folder = fetch("mnist", progress=lambda *what: seen.append(what))
    assert folder == published.cache_folder("mnist") == tmp_path / "mnist"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == server.files
    assert [what for what in seen if what[0] == "a.bin"][-2:] == [
        ("a.bin", 300_000, 300_000),
        ("a.bin", 300_000, None),
    ]
    assert fetch("mnist") == folder
    assert server.asked == [("a.bin", None), ("b.bin", None)]


def test_without_a_cache_named_it_is_the_users_own(tmp_path, monkeypatch):
    monkeypatch.delenv("PURECNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert published.cache_folder("mnist") == tmp_path / "purecnn" / "mnist"


def test_a_cut_connection_is_resumed_where_it_broke_off(server, tmp_path):
    server.cut, server.times = 100_000, 2
    fetch("mnist", tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked[:3] == [("a.bin", None), ("a.bin", "bytes=100000-"), ("a.bin", "bytes=200000-")]


def test_what_came_is_kept_when_it_breaks_off_too_often_and_the_next_fetch_goes_on(server, tmp_path):
    server.cut, server.times = 1000, 5
    with pytest.raises(
        OSError, match=r"a.bin: no connection, or broken off, 5 times \(ProtocolError\); 5,000 bytes are kept"
    ):
        fetch("mnist", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin.partial"]
    fetch("mnist", tmp_path)
    assert server.asked[5] == ("a.bin", "bytes=5000-")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == server.files


def test_a_server_that_knows_no_ranges_starts_over(server, tmp_path):
    server.cut, server.times, server.ranges = 100_000, 1, False
    fetch("mnist", tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_whole_partial_file_is_only_checked(server, tmp_path):
    (tmp_path / "a.bin.partial").write_bytes(CONTENT)
    fetch("mnist", tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == server.files


@pytest.mark.parametrize("start", [b"", b"of another version"])
def test_a_wrong_checksum_is_refused_and_the_file_removed(server, tmp_path, start):
    if start:
        (tmp_path / "a.bin.partial").write_bytes(start)
    else:
        server.files["a.bin"] = b"<html>moved"
    with pytest.raises(
        OSError, match=rf"{server.address}a.bin: the download's checksum is not the published md5 [0-9a-f]+"
    ):
        fetch("mnist", tmp_path)
    assert list(tmp_path.iterdir()) == []
    server.files["a.bin"] = CONTENT
    fetch("mnist", tmp_path)


def test_a_corrupt_file_in_the_cache_is_fetched_again(server, tmp_path):
    fetch("mnist", tmp_path)
    (tmp_path / "b.bin").write_bytes(b"secord")
    fetch("mnist", tmp_path)
    assert (tmp_path / "b.bin").read_bytes() == b"second"
    assert server.asked == [("a.bin", None), ("b.bin", None), ("b.bin", None)]


def test_what_the_server_has_not_is_said_with_its_address(server, tmp_path):
    del server.files["b.bin"]
    with pytest.raises(OSError, match=rf"^{server.address}b.bin: the server says 404 Not Found$"):
        fetch("mnist", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_server_that_is_not_there(server, tmp_path, monkeypatch):
    monkeypatch.setitem(PUBLISHED, "mnist", ("http://127.0.0.1:9/", PUBLISHED["mnist"][1]))
    monkeypatch.setattr(published, "TRIES", 2)
    with pytest.raises(
        OSError, match=r"^http://127.0.0.1:9/a.bin: no connection, or broken off, 2 times \(ConnectionError\)$"
    ):
        fetch("mnist", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_endless_answer_is_cut_off(server, tmp_path, monkeypatch):
    monkeypatch.setattr(published, "LARGEST", 200_000)
    with pytest.raises(OSError, match=r"a.bin: sent more than 200,000 bytes"):
        fetch("mnist", tmp_path)


def test_every_published_file_has_an_address_and_a_checksum_and_is_what_its_reader_looks_for():
    from purecnn.data.cifar import CIFAR10, CIFAR100

    assert set(PUBLISHED) == {"mnist", "fashion-mnist", "cifar10", "cifar100"}
    for address, files in PUBLISHED.values():
        assert re.fullmatch(r"https?://[a-z0-9.-]+/(\S+/)?", address)
        assert all(re.fullmatch("[0-9a-f]{32}", md5) for md5 in files.values())
    idx = {f"{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")}
    assert set(PUBLISHED["mnist"][1]) == set(PUBLISHED["fashion-mnist"][1]) == idx
    assert set(PUBLISHED["cifar10"][1]) == {CIFAR10.archive}
    assert set(PUBLISHED["cifar100"][1]) == {CIFAR100.archive}
