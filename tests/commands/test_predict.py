import json

import numpy as np
import pytest
from PIL import Image

from purecnn.cli import main
from purecnn.data.digits import read_digits
from purecnn.results import trained
from tests.commands.running import here, purecnn


@pytest.fixture
def images(tmp_path):
    """The first two test images as files, a 7 and a 6, and a text that is called an image."""
    for i, image in enumerate(read_digits().test.images[:2, :, :, 0]):
        Image.fromarray((image * 255).round().astype(np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "text.png").write_text("no image")
    return tmp_path


def test_files_and_folders_are_named_and_what_cannot_be_read_stops_nothing(finished, images):
    done = purecnn("predict", finished, "1.png", ".", cwd=images)
    assert done.returncode == 1
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["1.png:", "6"],
        ["0.png:", "7"],
        ["1.png:", "6"],
    ]
    assert done.stdout.splitlines()[0].count("%") == 3
    reason, count = done.stderr.splitlines()
    assert reason.startswith("purecnn: text.png: ")
    assert count == "purecnn: 1 could not be read"


def test_json_is_an_object_a_line_and_what_a_net_prints_is_on_stderr(finished, images, capsys, monkeypatch):
    load = trained.load_trained
    monkeypatch.setattr(trained, "load_trained", lambda *given, **more: print("of a net") or load(*given, **more))
    paths = [str(images / "0.png"), str(images / "text.png")]
    assert main(["predict", str(finished), paths[0], "--json", "--top", "10"]) == 0
    out, err = capsys.readouterr()
    (only,) = map(json.loads, out.splitlines())
    assert err == "of a net\n"
    assert only["file"] == paths[0]
    assert only["top"][0]["class"] == "7"
    shares = [entry["probability"] for entry in only["top"]]
    assert shares == sorted(shares, reverse=True)
    np.testing.assert_allclose(sum(shares), 1, rtol=1e-5)
    done = here("predict", finished, *paths, "--json", cwd=images)
    assert done.returncode == 1
    _, second = map(json.loads, done.stdout.splitlines())
    assert second.keys() == {"file", "error"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "nowhere", "a.png"], "nowhere"),
        (["predict", "EMPTY", "a.png"], "EMPTY: got no weights.safetensors, expected the folder of a run"),
        (["predict", "RUN", "a.png", "--top", "0"], "top: got 0, expected an integer, at least 1"),
        (["predict", "RUN"], ", expected files or folders"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(finished, tmp_path, capsys, arguments, words):
    paths = {"RUN": str(finished), "EMPTY": str(tmp_path)}
    assert main([paths.get(word, word) for word in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words.replace("EMPTY", str(tmp_path)) in err
    assert err.count("\n") == 1


def test_a_folder_without_images_stops_nothing_and_names_are_printed_in_one_line(finished, images, capsys):
    (images / "empty").mkdir()
    (images / "1.png").rename(images / "new\nline\x1b[31m.png")
    names = ("empty", "nowhere.png", "0.png", "new\nline\x1b[31m.png")
    assert main(["predict", str(finished), *(str(images / name) for name in names)]) == 1
    out, err = capsys.readouterr()
    assert [line.split(": ")[0] for line in out.splitlines()] == [
        f"{images / '0.png'}",
        f"{images}/new\\nline\\x1b[31m.png",
    ]
    assert err.splitlines() == [
        f"purecnn: {images / 'empty'}: got no images, expected a folder with some",
        f"purecnn: {images / 'nowhere.png'}: there is no such file",
        "purecnn: 2 could not be read",
    ]
