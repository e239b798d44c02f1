import threading
import time
from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from purecnn.data import image_file
from purecnn.data.guards import Refused
from purecnn.data.image_file import Decoding, attempt, attempts, in_threads, narrowness, pixels, read_header
from purecnn.data.readers import read
from tests.data.making import write_folder


def drawn(path, size, box, mode="RGBA", colour=(0, 0, 0, 255), around=(0, 0, 0, 0)):
    """A filled circle in `box`."""
    image = Image.new(mode, size, around)
    ImageDraw.Draw(image).ellipse(box, fill=colour)
    image.save(path)
    return path


@pytest.mark.parametrize("size", [(90, 60), (60, 90)])
def test_a_circle_stays_a_circle_and_the_centre_is_kept(tmp_path, size):
    centre = np.array(size) / 2
    box = [*(centre - 20), *(centre + 20)]
    path = drawn(tmp_path / "a.png", size, box, "RGB", (255, 255, 255), (0, 0, 0))
    inside = pixels(path, (30, 30, 1))[..., 0] > 127
    assert [inside.any(axis=axis).sum() for axis in (0, 1)] == pytest.approx([20, 20], abs=1)
    np.testing.assert_allclose(np.argwhere(inside).mean(axis=0), [14.5, 14.5], atol=0.6)


def test_what_is_drawn_in_black_is_on_white_and_what_is_drawn_in_white_on_black(tmp_path):
    for colour, paper in (((0, 0, 0, 255), 255), ((250, 250, 250, 255), 0), ((200, 0, 0, 255), 255)):
        path = drawn(tmp_path / "a.png", (40, 40), (10, 10, 30, 30), colour=colour)
        assert pixels(path, (40, 40, 3))[0, 0].tolist() == [paper] * 3
    assert pixels(path, (40, 40, 3), Decoding("#102030"))[0, 0].tolist() == [16, 32, 48]
    assert pixels(path, (40, 40, 1), Decoding("white"))[0, 0].tolist() == [255]
    nothing = tmp_path / "nothing.png"
    Image.new("RGBA", (4, 4)).save(nothing)
    assert pixels(nothing, (4, 4, 1)).min() == 255


def test_a_palette_with_a_transparent_colour_is_resized_as_colours(tmp_path):
    image = Image.new("P", (40, 40), 1)
    image.putpalette([9, 9, 9, 200, 0, 0])
    image.paste(0, (0, 0, 20, 40))
    image.save(tmp_path / "a.gif", transparency=0)
    found = pixels(tmp_path / "a.gif", (20, 20, 3))
    assert found[5, 2].tolist() == [255, 255, 255]
    assert found[5, 17].tolist() == [200, 0, 0]


@pytest.mark.parametrize("background", ["octarine", "#12"])
def test_what_is_no_colour_is_refused(background):
    with pytest.raises(ValueError, match=r"background: got .*, expected auto, or a colour such as white"):
        Decoding(background)


def test_a_jpeg_may_be_of_any_size_where_it_is_read_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # Pillow's own limit: an error at twice as many
    path, modest = tmp_path / "a.jpg", Decoding(max_megapixels=1)
    drawn(path, (2000, 1500), (500, 250, 1500, 1250), "L", 255, 0)
    assert read_header(path, (30, 30), modest) == (30, 30, "L")
    assert 0.3 < (pixels(path, (30, 30, 1), modest) > 127).mean() < 0.4
    with pytest.raises(Refused, match=r"a.jpg: declares 1500×2000 pixels, .* 1 million; --max-megapixels 3 reads it$"):
        read_header(path, None, modest)
    assert read_header(path) == (1500, 2000, "L")
    assert Image.MAX_IMAGE_PIXELS == 10_000


def test_a_giant_is_read_where_the_limit_is_raised_and_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(image_file, "GIANT", 2**18)
    files = [drawn(tmp_path / f"{n}.png", (2000, 1500), (500, 250, 1500, 1250)) for n in range(6)]
    refused = attempts(partial(pixels, shape=(8, 8, 3), decoding=Decoding(max_megapixels=2)), files)
    assert all(str(fault).endswith("2 million; --max-megapixels 3 reads it") for fault in refused)
    decoding, at_once, most, fitted = threading.Lock(), [0], [0], image_file._fitted

    def counted(*arguments):
        with decoding:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.01)
        found = fitted(*arguments)
        at_once[0] -= 1
        return found

    monkeypatch.setattr(image_file, "_fitted", counted)
    monkeypatch.setattr(image_file, "THREADS", 6)
    found = in_threads(partial(pixels, shape=(8, 8, 3), decoding=Decoding(max_megapixels=3)), files)
    assert most == [1]
    assert all((each == found[0]).all() for each in found)
    assert found[0][4, 4].tolist() == [0, 0, 0]


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "LA"])
def test_a_giant_made_smaller_by_strips_is_the_same_picture(tmp_path, monkeypatch, mode):
    grey = np.add.outer(np.linspace(0, 155, 303), np.linspace(0, 99, 407)).round().astype(np.uint8)
    image = Image.fromarray(grey)
    if mode == "RGBA":
        alpha = Image.fromarray(np.linspace(0, 255, 407).astype(np.uint8)[None].repeat(303, axis=0))
        image = Image.merge("RGBA", [image] * 3 + [alpha])
    image.convert(mode).save(tmp_path / "a.png")
    expected = pixels(tmp_path / "a.png", (20, 30, 3))
    monkeypatch.setattr(image_file, "GIANT", 0)
    monkeypatch.setattr(image_file, "STRIP", 4)
    np.testing.assert_allclose(pixels(tmp_path / "a.png", (20, 30, 3)).astype(int), expected.astype(int), atol=4)


def test_sixteen_bits_are_scaled_by_the_value_that_is_white(tmp_path):
    values = np.array([[0, 1000, 4095]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png", (1, 3, 1), Decoding(white=4095)).ravel().tolist() == [0, 62, 255]
    assert pixels(tmp_path / "a.png", (1, 3, 1)).ravel().tolist() == [0, 3, 15]
    assert image_file.largest_value(tmp_path / "a.png") == 4095


def test_text_beside_the_pixels_that_unpacks_to_much_is_named(tmp_path):
    info = PngInfo()
    info.add_text("history", "x" * 2**21, zip=True)
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png", pnginfo=info)
    fault = attempt(pixels, tmp_path / "a.png", (6, 8, 3))
    assert str(fault).endswith(
        "carries text that unpacks to more than 1 MiB; it is read once it is saved without its metadata"
    )


def test_the_preview_before_a_raw_photograph_is_not_taken_for_it(tmp_path):
    image = Image.new("RGB", (8, 6))
    image.save(tmp_path / "a.tif", tiffinfo={254: 0})
    assert read_header(tmp_path / "a.tif") == (6, 8, "RGB")
    image.save(tmp_path / "a.dng", "TIFF", tiffinfo={254: 1})
    fault = attempt(pixels, tmp_path / "a.dng", (6, 8, 3))
    assert str(fault).endswith(
        "a.dng: begins with a preview, as raw photographs do, which are not supported; convert it"
    )


def test_a_reason_that_files_have_in_common_is_said_once():
    faults = [f"{name}.tif: got 32 bits a pixel: scale them" for name in "abc"] + ["d.png: is empty"]
    with pytest.raises(Refused, match=r"^a\.tif, b\.tif, c\.tif: got 32 bits a pixel: scale them; d\.png: is empty\.$"):
        image_file.complain(faults, ".")
    with pytest.raises(Refused, match=r"^a\.tif, b\.tif, c\.tif: got 32 .*; d\.png, a\.tif: is empty; and 3 more$"):
        image_file.complain([*faults, "a.tif: is empty", *faults[:3]])


@pytest.mark.parametrize("side", [(10, 4), (4, 10)])
def test_of_images_of_which_little_is_seen_the_run_says_so(tmp_path, side):
    made = write_folder(tmp_path, each=20, side=side)
    assert narrowness(next(iter(made))) == 0.4
    said = (
        "most images are more than twice as wide as high, or as high as wide: their centre is seen, 40.0% of the longer"
    )
    for size in (4, None):  # None: all of them is seen
        assert any(note.startswith(said) for note in read("folder", str(tmp_path), image_size=size).notes) is (
            size == 4
        )
