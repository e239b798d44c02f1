import os
from functools import partial

import numpy as np
import pytest
from PIL import Image

from purecnn.data import files, readers
from purecnn.data.batches import training_batches
from purecnn.data.dataset import Split
from purecnn.data.files import Files, Names, open_files, pack
from purecnn.data.pipeline import feed, fits_on_device, in_files

RNG = np.random.default_rng(0)
read = partial(readers.read, "folder", image_size=(5, 7))


@pytest.fixture
def root(tmp_path):
    """Three classes of photographs of several sizes, JPEG and PNG."""
    folder = tmp_path / "pets"
    for n, name in enumerate(("cat", "dog", "owl")):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            height, width = RNG.integers(20, 60, 2)
            small = Image.fromarray(RNG.integers(0, 256, (4, 4, 3), np.uint8))
            image = small.resize((int(width), int(height)), Image.Resampling.BICUBIC)
            image.save(folder / name / f"{i}.{'png' if (i + n) % 3 == 0 else 'jpg'}")
    return folder


def crops(split, **changes):
    return files.dataclasses.replace(split.images, least_area=0.1, seed=3, epoch=0, **changes)


def test_names_take_the_memory_of_their_letters_and_come_back(tmp_path):
    names = ["cat/1.png", "", "cät/ö.jpg", os.fsdecode(b"not \xff unicode.png"), "cat/1.png"]
    packed = pack(names)
    assert isinstance(packed, Names)
    assert [packed[n] for n in range(len(packed))] == names
    assert len(packed.letters) == sum(len(os.fsencode(name)) for name in names)


def test_streamed_images_are_those_that_are_read_whole(root):
    whole, streamed = read(str(root), streaming="never"), read(str(root), streaming="always")
    assert streamed.classes == whole.classes
    *notes, note = streamed.notes
    assert tuple(notes) == whole.notes
    assert note == "images stay in their files, 3 kB of pixels, until a step needs them"
    for name, split in whole.splits().items():
        other = streamed.split(name)
        assert isinstance(other.images, Files)
        assert (other.images.shape, other.images.dtype) == (split.images.shape, split.images.dtype)
        assert other.images.nbytes == split.images.nbytes
        np.testing.assert_array_equal(other.labels, split.labels)
        assert list(other.names) == list(split.names)
        np.testing.assert_array_equal(np.asarray(other.images), split.images)
        rows = RNG.integers(0, len(split), (2, 3))
        np.testing.assert_array_equal(other.images[rows], split.images[rows])
        np.testing.assert_array_equal(other.images[1], split.images[1])
        np.testing.assert_array_equal(np.asarray(other.images[1:3]), split.images[1:3])


def test_a_set_too_large_for_the_device_is_streamed(root, monkeypatch):
    assert not in_files(read(str(root)).train)
    monkeypatch.setattr(files, "DEVICE_LIMIT", 30 * 5 * 7 * 3 - 1)
    data = read(str(root))
    assert in_files(data.train)
    assert not fits_on_device(data.train)
    assert not in_files(read(str(root), streaming="never").train)


def test_without_a_size_all_must_have_one_and_grey_stays_grey(tmp_path, root):
    with pytest.raises(ValueError, match=r"expected one size, or --image-size N"):
        readers.read("folder", str(root), streaming="always")
    for name in ("black", "white"):
        (tmp_path / "grey" / name).mkdir(parents=True)
        for i in range(5):
            Image.fromarray(RNG.integers(0, 256, (4, 6), np.uint8)).save(tmp_path / "grey" / name / f"{i}.png")
    for size in (None, (4, 6)):
        data = readers.read("folder", str(tmp_path / "grey"), image_size=size, streaming="always")
        whole = readers.read("folder", str(tmp_path / "grey"), image_size=size)
        assert data.train.images.shape[1:] == (4, 6, 1)
        np.testing.assert_array_equal(np.asarray(data.train.images), whole.train.images)


def test_where_a_few_are_grey_all_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SAMPLE", 2)
    for name in ("black", "white"):
        (tmp_path / name).mkdir()
        for i in range(6):
            mode, grey = "RGB" if (name, i) == ("white", 2) else "L", 9 * i + 99 * (name == "white")  # no two alike
            Image.new(mode, (3, 3), (grey,) * len(mode)).save(tmp_path / name / f"{i}.png")
    data = readers.read("folder", str(tmp_path), image_size=3, streaming="always")
    assert data.train.images.shape[1:] == (3, 3, 3)
    assert list(files.evenly_spaced(9)) == [0, 8]
    assert list(files.evenly_spaced(1)) == [0]


def test_with_skip_unreadable_the_headers_of_all_are_read_beforehand(root):
    for name in ("cat/1.jpg", "owl/3.jpg"):
        (root / name).write_bytes(b"no image")
    data = read(str(root), streaming="always", skip_unreadable=True, val_share=0.0)
    assert sum(len(split) for split in data.splits().values()) == 28
    assert [line.split(":")[0] for line in data.skipped] == [str(root / "cat/1.jpg"), str(root / "owl/3.jpg")]
    for split in data.splits().values():
        assert np.asarray(split.images).shape == (len(split), 5, 7, 3)


def test_the_crops_depend_on_no_threads_and_no_neighbours(root):
    train = read(str(root), streaming="always").train
    rows = np.arange(len(train))
    expected = crops(train, threads=1)[rows]
    for threads in (2, 4):
        np.testing.assert_array_equal(crops(train, threads=threads)[rows], expected)
    for place in (0, 7, 20):
        np.testing.assert_array_equal(crops(train)[place], expected[place])
    shuffled = RNG.permutation(rows)
    np.testing.assert_array_equal(crops(train)[shuffled], expected[shuffled])


def test_every_epoch_and_every_seed_has_its_own_crops(root):
    train = read(str(root), streaming="always").train
    first = crops(train)
    others = (first.in_epoch(1), files.dataclasses.replace(first, seed=4), train.images)
    rows = np.arange(len(train))
    for other in others:
        assert (first[rows] != other[rows]).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(first.in_epoch(1).in_epoch(0)[rows], first[rows])


def test_every_image_of_an_epoch_comes_once(tmp_path):
    """Each file is of one colour that no other has; 23 images in batches of 4 leave one to come twice."""
    (tmp_path / "a").mkdir()
    for n in range(23):
        Image.new("RGB", (9, 8), (n, n, n)).save(tmp_path / "a" / f"{n}.png")
    paths = [tmp_path / "a" / f"{n}.png" for n in range(23)]
    images = files.dataclasses.replace(open_files(tmp_path, list(map(str, paths)), (4, 4, 3)), least_area=0.3)
    split = Split(images, np.arange(23, dtype=np.int32))
    per_epoch = 6
    for epoch in range(2):
        parts = np.split(training_batches(23, 4, seed=0, epoch=epoch), [2, 4])
        blocks = list(feed(split, parts, first_step=epoch * per_epoch))
        seen = np.concatenate([np.asarray(images)[..., 0, 0, 0].ravel() for images, _, _ in blocks])
        labels = np.concatenate([np.asarray(labels).ravel() for _, labels, _ in blocks])
        np.testing.assert_array_equal(seen, labels)
        assert sorted(seen[:23]) == list(range(23))


def damage(*paths):
    for path in paths:
        path.write_bytes(path.read_bytes()[:-200])


def test_files_by_which_a_set_is_known_again_are_whole_when_it_is_opened(root, monkeypatch):
    monkeypatch.setattr(files, "SAMPLE", 1)
    images = [split.images for split in read(str(root), streaming="always").splits().values()]
    paths = [each.path(int(each.numbers[place])) for each in images for place in (0, 1)]
    damage(*paths[1::2])  # none of them is looked at
    read(str(root), streaming="always")
    for path in paths[::2]:
        content = path.read_bytes()
        damage(path)
        with pytest.raises(ValueError, match=path.relative_to(root).as_posix()):
            read(str(root), streaming="always")
        path.write_bytes(content)


def test_files_that_cannot_be_read_are_named_when_they_are_asked_for(root):
    data = read(str(root), streaming="always", val_share=0.0)
    damage(root / "cat" / "1.jpg", root / "owl" / "3.jpg")
    for images in (data.train.images, crops(data.train)):
        wanted = [images.path(int(n)).relative_to(root).as_posix() for n in images.numbers]
        bad = [n for n, name in enumerate(wanted) if name in ("cat/1.jpg", "owl/3.jpg")]
        assert bad
        good = [n for n in range(len(wanted)) if n not in bad]
        assert images[np.array(good)].shape == (len(good), 5, 7, 3)
        with pytest.raises(ValueError, match=wanted[bad[0]]) as caught:
            images[np.arange(len(wanted))]
        assert all(wanted[n] in str(caught.value) for n in bad)


def test_a_set_is_identified_by_names_labels_and_content_not_by_its_path(root, tmp_path):
    def checksum(folder):
        return read(str(folder), streaming="always").train.checksum()

    before = checksum(root)
    moved = root.rename(tmp_path / "elsewhere")
    assert checksum(moved) == before
    train = read(str(moved), streaming="always").train
    assert Split(train.images, train.labels[::-1].copy()).checksum() != before
    path = train.images.path(int(train.images.numbers[0]))
    content = path.read_bytes()
    path.write_bytes(content + b"\0")
    assert checksum(moved) != before
    path.write_bytes(content)
    assert checksum(moved) == before
    path.rename(path.with_name(f"another{path.suffix}"))
    assert checksum(moved) != before
