import io

import numpy as np
import pytest
from PIL import Image

from purecnn.data.image_file import pixels
from purecnn.data.random_crop import RATIOS, Crop, random_box, random_crop

RNG = np.random.default_rng(0)
CROP = Crop(seed=1, epoch=2, least=0.2)


def gradient(height, width, mode="RGB"):
    """A picture in which red says the row and green the column, as shares of the whole."""
    rows, columns = (np.linspace(0, 255, extent) for extent in (height, width))
    grid = np.stack([*np.meshgrid(rows, columns, indexing="ij"), np.full((height, width), 128.0)], axis=-1)
    return Image.fromarray(grid.round().astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("size", [(30, 40), (40, 30), (1, 1), (4, 400), (400, 4), (375, 500)])
def test_boxes_lie_inside_and_are_drawn_from_seed_epoch_and_number_alone(size):
    boxes = [random_box(CROP, number, *size) for number in range(200)]
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= size[1]
        assert 0 <= top < bottom <= size[0]
    assert boxes == [random_box(CROP, number, *size) for number in range(200)]
    if min(size) > 4:
        assert len(set(boxes)) > 190
        for other in (Crop(2, 2, 0.2), Crop(1, 3, 0.2)):
            assert random_box(other, 0, *size) != boxes[0]


def test_areas_and_ratios_are_spread_as_said():
    height, width = 400, 400
    boxes = np.array([random_box(CROP, number, height, width) for number in range(2000)])
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area, ratio = wide * high / (height * width), wide / high
    assert 0.19 < area.min() < 0.21
    assert area.max() > 0.9
    assert RATIOS[0] * 0.98 < ratio.min() < ratio.max() < RATIOS[1] * 1.02
    assert abs(np.log(ratio).mean()) < 0.03
    for begin, room in ((boxes[:, 0], width - wide), (boxes[:, 1], height - high)):
        assert abs(np.mean(begin / np.maximum(room, 1)) - 0.5) < 0.03


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("size", [(90, 120), (700, 500), (20, 30)])
def test_the_piece_is_what_the_box_shows(tmp_path, size, suffix):
    path = tmp_path / f"image{suffix}"
    gradient(*size).save(path, quality=95) if suffix == ".jpg" else gradient(*size).save(path)
    for number in range(8):
        left, top, right, bottom = random_box(CROP, number, *size)
        found = random_crop(path, (24, 32, 3), CROP, number).astype(float)
        for axis, channel, (begin, end), extent in ((0, 0, (top, bottom), size[0]), (1, 1, (left, right), size[1])):
            means = found[..., channel].mean(axis=1 - axis)
            middles = begin + (end - begin) * (np.arange(len(means)) + 0.5) / len(means) - 0.5
            expected = 255 * np.clip(middles, 0, extent - 1) / (extent - 1)
            # An error of a pixel of the original, and the rounding of JPEG.
            np.testing.assert_allclose(means, expected, atol=255 / extent + 3)


def test_rotated_cmyk_grey_and_slightly_wrong_jpegs_are_read_as_pillow_reads_them(tmp_path):
    whole = Crop(0, 0, 1.0)
    picture = gradient(40, 40)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be rotated by a quarter
    picture.save(tmp_path / "rotated.jpg", exif=exif, quality=95)
    picture.convert("CMYK").save(tmp_path / "inks.jpg", quality=95)
    picture.convert("L").save(tmp_path / "grey.jpg", quality=95)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=95)
    (tmp_path / "odd.jpg").write_bytes(out.getvalue()[:20] + b"\0\0" + out.getvalue()[20:])
    seen = {}
    for name in ("rotated", "inks", "grey", "odd"):
        for channels in (1, 3):
            path, shape = tmp_path / f"{name}.jpg", (40, 40, channels)
            number = next(n for n in range(99) if random_box(whole, n, 40, 40) == (0, 0, 40, 40))
            seen[name] = random_crop(path, shape, whole, number)
            assert np.abs(seen[name].astype(int) - pixels(path, shape)).max() <= 3
    assert seen["rotated"][0, -1, 0] < 20 < 200 < seen["rotated"][0, 0, 0]  # what was the first row is the last column


@pytest.mark.parametrize("cut", [1, 50, 400])
def test_a_truncated_jpeg_is_refused(tmp_path, cut):
    path = tmp_path / "a.jpg"
    gradient(60, 80).save(path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(OSError, match=r"truncated|cannot load"):
        random_crop(path, (8, 8, 3), CROP, 0)
