"""`purecnn data` as a user runs it."""

import hashlib
import http.server
import os
import threading
import warnings
from functools import partial

import pytest
from PIL import Image

from purecnn.cli import main
from purecnn.data.published import PUBLISHED
from purecnn.train import devices
from tests.commands.running import here
from tests.data.making import cifar_archive, cifar_files, write_folder, write_mnist


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves a small MNIST, which is fetched instead of the published one, into a cache of its own."""
    monkeypatch.setenv("PURECNN_CACHE", str(tmp_path / "cache"))
    write_mnist(tmp_path / "served")
    checksums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in (tmp_path / "served").iterdir()}
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        entry = (f"http://127.0.0.1:{server.server_port}/", checksums)
        monkeypatch.setitem(PUBLISHED, "mnist", entry)
        yield
        server.shutdown()
        thread.join()


def test_what_was_fetched_is_found_without_a_folder(tmp_path, server):
    done = here("data", "fetch", "mnist", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"mnist is in {tmp_path / 'cache' / 'mnist'}\n"
    done = here("data", "show", "--data", "mnist", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "mnist: 50 images to train on, 10 to validate, 20 to test with, 10 classes, 28×28 grey\n"
        "held out of the training images to validate: 10 % of every class, the same in every run\n"
        "contact sheet in mnist.png\n"
    )
    with Image.open(tmp_path / "mnist.png") as image:
        assert image.format == "PNG"


def test_what_fails_is_one_line_and_exit_code_1(tmp_path, server):
    (tmp_path / "served" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"moved")
    done = here("data", "fetch", "mnist", "--to", "mine", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("purecnn: http://127.0.0.1:")
    assert "t10k-labels-idx1-ubyte.gz: the download's checksum is not the published md5" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "t10k-labels-idx1-ubyte.gz" not in os.listdir(tmp_path / "mine")


def test_a_folder_and_an_archive_are_shown(tmp_path):
    write_folder(tmp_path / "pets", side=(9, 12))
    Image.new("RGB", (40, 20)).save(tmp_path / "pets" / "cat" / "wide.png")
    done = here("data", "show", "--data", "folder", "--data-dir", "pets", cwd=tmp_path)
    assert done.returncode == 2
    assert "9×12 pixels, pets/cat/wide.png: 20×40; expected one size" in done.stderr
    done = here(
        "data", "show", "--data", "folder", "--data-dir", "pets", "--image-size", 8, "--out", "a.png", cwd=tmp_path
    )
    assert done.stdout == (
        "pets: 10 images to train on, 3 to validate, 3 to test with, 3 classes, 8×8 RGB\n"
        "held out of every class, by file name: 20 % to test with and 10 % to validate\n"
        "contact sheet in a.png\n"
    ), done.stderr
    (tmp_path / "c.tar.gz").write_bytes(cifar_archive(cifar_files()[0]))
    done = here("data", "show", "--data", "cifar10", "--data-dir", "c.tar.gz", "--each", 4, cwd=tmp_path)
    assert "10 classes, 32×32 RGB" in done.stdout, done.stderr
    assert {"a.png", "cifar10.png"} <= set(os.listdir(tmp_path))


@pytest.mark.slow
def test_ones_own_images_train_a_net_to_the_same_bits_on_the_device_from_the_host_and_from_files(tmp_path, monkeypatch):
    write_folder(tmp_path / "pets", side=(9, 12), each=15)
    options = ("--model", "mlp", "--data", "folder", "--data-dir", "pets", "--image-size", 8, "--epochs", 2)
    options = ("train", *options, "--batch-size", 8, "--steps-per-dispatch", 2, "--augmentation", "flip+crop")
    done = here(*options, "--run-dir", "whole", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mlp on pets: 30 images to train on, 6 to validate, 9 to test with" in done.stdout
    with monkeypatch.context() as patched:
        patched.setattr(devices, "fits_on_device", lambda split: False)
        fed = here(*options, "--run-dir", "fed", cwd=tmp_path)
    assert fed.returncode == 0, fed.stderr
    streamed = here(*options, "--streaming", "always", "--run-dir", "streamed", cwd=tmp_path)
    assert streamed.returncode == 0, streamed.stderr
    weights = {(tmp_path / run / "weights.safetensors").read_bytes() for run in ("whole", "fed", "streamed")}
    assert len(weights) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "--data", "cifar10"), 2, "cifar10; `purecnn data fetch cifar10` fetches it"),
        (("show", "--data", "folder"), 2, "data_dir: got none, expected the folder to read"),
        (("show", "--data", "npz", "--data-dir", "x.npz"), 2, "purecnn: x.npz: there is no such file"),
        (("show", "--each", 0), 2, "each: got 0, expected an integer from 1 to 100"),
        (("show", "--out", "sheet.pdf"), 2, "out: got 'sheet.pdf', expected a name in .png"),
        (("show", "--out", "no/such/folder.png"), 1, "No such file or directory"),
        (("fetch", "imagenet"), 2, "imagenet"),
        ((), 2, "fetch"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(tmp_path, monkeypatch, capsys, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PURECNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # which the command sets, as it does showwarning
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    assert main(["data", *map(str, arguments)]) == code
    assert words in capsys.readouterr().err
    assert set(os.listdir(tmp_path)) <= {"cache"}
