import numpy as np
import pytest
from PIL import Image

from purecnn.data.digits import read_digits
from purecnn.results.prediction import AT_ONCE, image_files, predict
from purecnn.results.trained import load_trained, make_classifier


@pytest.fixture
def pixels():
    return (read_digits().test.images[:3, :, :, 0] * 255).round().astype(np.uint8)


def test_grey_coloured_and_transparent_files_of_one_picture_are_taken_for_the_same(finished, tmp_path, pixels):
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


def test_folders_give_the_images_in_them_in_order(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png", "sub/c.webp", ".git/d.png", "plain"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    named = [str(path.relative_to(tmp_path)) for path in image_files([tmp_path / "plain", tmp_path])]
    assert named == ["plain", "a.jpg", "b.PNG", "sub/c.webp"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: got no images"):
        list(image_files([tmp_path / "empty"]))
