import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from purecnn.data.digits import read_digits
from purecnn.data.readers import read
from purecnn.models import mlp
from purecnn.results import prediction
from purecnn.results.prediction import AT_ONCE, image_files, predict
from purecnn.results.trained import Trained, load_trained, make_classifier
from purecnn.train.metadata import ModelMetadata


@pytest.fixture
def pixels():
    return (read_digits().test.images[:3, :, :, 0] * 255).round().astype(np.uint8)


def test_grey_coloured_and_transparent_files_of_one_picture_are_predicted_alike(finished, tmp_path, pixels):
    grey = Image.fromarray(pixels[0])
    opaque = Image.new("L", grey.size, 255)
    grey.save(tmp_path / "grey.png")
    Image.merge("RGB", [grey] * 3).save(tmp_path / "rgb.png")
    Image.merge("RGBA", [grey] * 3 + [opaque]).save(tmp_path / "rgba.png")
    Image.merge("RGBA", [opaque] * 3 + [grey]).save(tmp_path / "white, as opaque as the digit is bright.png")
    Image.fromarray(pixels[0].astype(np.uint16) * 257).save(tmp_path / "16 bits.png")
    trained = load_trained(finished)
    found = list(predict(trained, image_files([tmp_path])))
    assert len(found) == 5
    _, shares = make_classifier(trained)(pixels[:1, :, :, None])
    best = np.argsort(-shares[0])[:3]
    for one in found:
        assert [name for name, _ in one.top] == [str(k) for k in best]
        np.testing.assert_allclose([share for _, share in one.top], shares[0, best], rtol=0.02)


def test_the_right_file_has_the_right_class_whatever_lies_between(finished, tmp_path, pixels):
    trained = load_trained(finished)
    expected = make_classifier(trained)(pixels[:, :, :, None])[1].max(axis=1)
    for i in range(3):
        Image.fromarray(pixels[i]).save(tmp_path / f"{i}.png")
    (tmp_path / "text.png").write_text("no image")
    good = [tmp_path / f"{i}.png" for i in range(3)]
    files = [good[0], tmp_path / "text.png", good[1], tmp_path / "nowhere.png", *good[2:] * AT_ONCE]
    found = list(predict(trained, files, top=1))
    assert [one.file for one in found] == files
    assert [one.error is None for one in found] == [True, False, True, False] + [True] * AT_ONCE
    assert found[1].error.startswith(f"{tmp_path / 'text.png'}: ")
    assert found[3].error == f"{tmp_path / 'nowhere.png'}: there is no such file"
    got = [one.top[0][1] for one in found if one.top]
    np.testing.assert_allclose(got, [*expected[:2], *[expected[2]] * AT_ONCE], rtol=1e-5)


def test_folders_give_the_images_in_them_in_order_by_content_and_through_links(tmp_path):
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png", "sub/c.webp", ".git/d.png", "plain", "@eaDir/e.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    (folder / "d.jfif").write_bytes(b"\xff\xd8\xff\xe0")
    (folder / "e").write_bytes(b"\x89PNG")
    elsewhere.mkdir()
    (elsewhere / "f.png").touch()
    (folder / "link").symlink_to(elsewhere)
    named = [str(path.relative_to(folder)) for path in image_files([folder / "plain", folder])]
    assert named == ["plain", "a.jpg", "b.PNG", "d.jfif", "e", "link/f.png", "sub/c.webp"]


def test_pictures_of_formats_that_are_not_read_are_told_and_what_is_none_is_not(tmp_path):
    signs = {
        "a.jp2": b"\0\0\0\x0cjP  \r\n",
        "b": b"\xff\x0a",
        "c.tga": bytes(9),
        "d.pdf": b"%PDF",
        "e.mov": b"\0\0\0\x14ftypqt",
    }
    for name, sign in signs.items():
        (tmp_path / name).write_bytes(sign)
    assert [path.name for path in image_files([tmp_path])] == ["a.jp2", "b", "c.tga"]


def test_a_pattern_that_no_shell_has_replaced_is_what_it_matches_and_an_address_is_no_file(tmp_path):
    for name in ("b.png", "a.png", "c.jpg", "[d].png"):
        (tmp_path / name).touch()
    named = image_files([tmp_path / "[ab].png", tmp_path / "[d].png", tmp_path / "x*.png"])
    assert list(named) == [tmp_path / name for name in ("a.png", "b.png", "[d].png", "x*.png")]
    (one,) = image_files([Path("file:///a.png")])
    assert one.error == "file:/a.png: is an address, expected a file; /… alone, without file:"
    (one,) = image_files([Path("https://example.com/a.png")])
    assert one.error == "https:/example.com/a.png: is an address, expected a file; fetch it first, as with curl -O"


def test_names_on_stdin_and_in_a_file_are_no_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("a.png")
    for name in ("-", "@list.txt"):
        (found,) = image_files([Path(name)])
        assert found.error == f"{name}: names are not read from elsewhere; xargs hands them over"
    (tmp_path / "-").touch()
    assert list(image_files([Path("-")])) == [Path("-")]


def test_folders_that_cannot_be_read_and_empty_ones_stop_nothing(finished, tmp_path, pixels, forbidden):
    for name in ("empty", "closed", "half/deep"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("half/a.png", "half/z.png", "last.png"):
        Image.fromarray(pixels[0]).save(tmp_path / name)
    (tmp_path / "half" / "plain").touch()
    forbidden(*(tmp_path / name for name in ("closed", "half/deep", "half/plain")))
    found = list(
        predict(load_trained(finished), image_files(tmp_path / n for n in ("empty", "closed", "half", "last.png")))
    )
    assert [str(one.file.relative_to(tmp_path)) for one in found] == [
        "empty", "closed", "half/a.png", "half/plain", "half/z.png", "half/deep", "last.png",
    ]  # fmt: skip
    assert [one.error and one.error.removeprefix(f"{one.file}: ") for one in found] == [
        "got no images, expected a folder with some", "Permission denied", None, "Permission denied", None,
        "Permission denied", None,
    ]  # fmt: skip


def test_a_file_alone_becomes_the_pixels_that_it_had_in_its_set(finished, tmp_path, monkeypatch):
    """Another shape, transparency and 12 bits: what was found in the whole set is in the weights."""
    for label, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        for n in range(5):
            values = np.full((12, 16), 100 * n + 2000 * label, np.uint16)
            values[4:, 9:] = 4095
            Image.fromarray(values).save(tmp_path / name / f"{n}.png")
    data = read("folder", str(tmp_path), image_size=8)
    net = load_trained(finished)
    metadata = dataclasses.replace(net.metadata, background=data.decoding.background, white=data.decoding.white)
    seen = []
    monkeypatch.setattr(prediction, "make_classifier", lambda _: lambda images: (seen.extend(images), net_says(images)))
    files = [tmp_path / name for name in data.test.names]
    assert [one.file for one in predict(dataclasses.replace(net, metadata=metadata), files)] == files
    np.testing.assert_array_equal(np.stack(seen), data.test.images)
    assert data.test.images.max() == 255


def net_says(images):
    return np.full((len(images), 10), 0.1)


def test_a_net_of_other_channels_than_files_have_says_what_takes_arrays():
    trained = Trained(ModelMetadata("mlp", "squared_error", "pets", ("a", "b"), (8, 8, 2)), mlp(2), [], [])
    with pytest.raises(ValueError, match=r"got one for 2 channels, expected 1 or 3, .*purecnn\.load\(RUN\)\.predict"):
        next(predict(trained, []))
