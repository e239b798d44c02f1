import numpy as np
from PIL import Image

from purecnn.data.dataset import Dataset, Split
from purecnn.results.sheet import describe, draw_sheet, mosaic
from tests.data.making import pictures


def a_set(channels, classes, count=40):
    images, labels = pictures(count, (6, 5, channels), classes)
    split = Split(images, labels.astype(np.int32))
    return Dataset("mine", split, split, tuple(f"$class$ [b]{n}" for n in range(classes)))


def test_a_row_a_class_an_image_a_place():
    data = a_set(3, 4)
    picture = mosaic(data.train, range(1, 4), each=3)
    assert picture.shape == (3 * 7, 3 * 6, 3)
    for row, label in enumerate(range(1, 4)):
        members = data.train.images[data.train.labels == label]
        for column, n in enumerate((0, 4, 9)):
            tile = picture[row * 7 : row * 7 + 6, column * 6 : column * 6 + 5]
            np.testing.assert_allclose(tile, members[n] / 255, atol=1e-6)
    assert (picture[6::7] == 1).all()
    assert (picture[:, 5::6] == 1).all()


def test_a_class_with_few_images_leaves_the_rest_white():
    picture = mosaic(a_set(1, 4, count=8).train, range(4), each=5)
    assert picture.shape == (4 * 7, 5 * 6)
    assert (picture[:, 2 * 6 :] == 1).all()
    assert (picture[:6, :5] < 1).all()


def test_sheets_of_few_and_many_classes_are_drawn_whatever_the_names(tmp_path):
    for channels, classes, count in ((1, 2, 6), (3, 130, 260), (2, 45, 90)):
        draw_sheet(tmp_path / "sheet.png", a_set(channels, classes, count), each=3)
        with Image.open(tmp_path / "sheet.png") as image:
            image.load()
            assert min(image.size) > 100
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_what_it_says():
    assert describe(a_set(1, 4)) == "mine: 40 images to train on, 40 to test with, 4 classes, 6×5 grey"
    assert describe(a_set(2, 4)).endswith("6×5 2 channels")
