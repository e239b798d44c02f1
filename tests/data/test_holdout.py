import numpy as np
import pytest

from purecnn.data.dataset import Dataset, Split
from purecnn.data.digits import read_digits
from purecnn.data.holdout import TEST, TRAIN, VAL, divided, held_out, with_validation
from purecnn.data.readers import read
from tests.data.making import pictures, write_folder

LABELS = np.repeat(np.arange(3), 40).astype(np.int32)
NAMES = [f"{label}/{n}.png" for n, label in enumerate(LABELS)]


def test_a_share_of_every_class_is_held_out_at_least_one_and_never_all():
    assert [held_out(NAMES, LABELS, share)[LABELS == 1].sum() for share in (0.1, 0.25, 0.001, 0.9999)] == [4, 10, 1, 39]
    assert not held_out(["a", "b"], np.array([0, 1])).any()


def test_the_images_of_the_test_are_the_same_whatever_the_share_that_validates():
    none, tenth, half = (divided(NAMES, LABELS, val_share=share) for share in (0.0, 0.1, 0.5))
    for part in (tenth, half):
        np.testing.assert_array_equal(part == TEST, none == TEST)
    assert [(part == VAL).sum() for part in (none, tenth, half)] == [0, 12, 60]
    np.testing.assert_array_equal(np.bincount(LABELS[tenth == VAL]), [4, 4, 4])
    alone = divided(NAMES, LABELS, val_share=0.1, test=False)
    assert [(alone == code).sum() for code in (TRAIN, VAL, TEST)] == [108, 12, 0]


def test_one_image_more_moves_at_most_one_other_of_its_class():
    before = divided(NAMES, LABELS, val_share=0.1)
    for n in range(8):
        after = divided([*NAMES, f"1/new{n}.png"], np.append(LABELS, 1), val_share=0.1)[:-1]
        moved = before != after
        assert not moved[LABELS != 1].any()
        assert moved.sum() <= 2  # one at each of the two borders


def test_every_sample_is_in_one_split_and_no_seed_changes_which():
    first, second, undivided = read("digits"), read("digits"), read_digits()
    np.testing.assert_array_equal(first.val.images, second.val.images)
    np.testing.assert_array_equal(first.test.images, undivided.test.images)
    together = np.concatenate([first.train.images, first.val.images]).reshape(1437, -1)
    assert sorted(map(bytes, together)) == sorted(map(bytes, undivided.train.images.reshape(1437, -1)))
    assert first.notes == ("held out of the training images to validate: 10 % of every class, the same in every run",)


def test_what_validates_already_stays_and_of_single_images_none_is_taken():
    images, labels = pictures(3, (2, 2, 1), 3)
    split = Split(images, labels.astype(np.int32))
    assert with_validation(Dataset("d", split, None, ("a", "b", "c"), val=split), 0.1).val is split
    alone = with_validation(Dataset("d", split, None, ("a", "b", "c")), 0.1)
    assert (alone.val, len(alone.train)) == (None, 3)
    assert alone.notes == ("no class has two images: none is held out to validate",)


@pytest.mark.parametrize(("split", "what"), [("val", "validate"), ("test", "test with")])
def test_a_class_without_an_image_to_validate_or_to_test_with_is_a_warning(tmp_path, split, what):
    for name in ("train", "val", "test"):
        write_folder(tmp_path / name, classes=("cat", "owl") if name == split else ("cat", "dog", "owl"), each=1)
    with pytest.warns(UserWarning, match=f"class has no image to {what}: dog"):
        data = read("folder", str(tmp_path))
    np.testing.assert_array_equal(data.split(split).labels, [0, 2])


def test_arrays_to_validate_with_are_taken_from_the_file(tmp_path):
    (x, y), (v, w), (s, t) = (pictures(n, (2, 2, 1), 3, seed) for seed, n in enumerate((12, 6, 3)))
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=s, y_test=t, x_val=v, y_val=w)
    data = read("npz", str(tmp_path / "a.npz"))
    np.testing.assert_array_equal(data.val.images, v)
    assert (len(data.train), data.notes) == (12, ())
    np.savez(tmp_path / "b.npz", x_train=x, y_train=y, x_test=x, y_test=y, x_val=v[:, :1], y_val=w)
    with pytest.raises(ValueError, match=r"x_val uint8\(1, 2, 1\) an image, expected the same"):
        read("npz", str(tmp_path / "b.npz"))
