import pytest

from purecnn.data.readers import DATA_NAMES, read


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mnits",), f"data: got 'mnits', expected one of {', '.join(DATA_NAMES)}"),
        (("digits", "here"), "data_dir: got 'here', expected none"),
        (("folder",), "data_dir: got none, expected the folder to read"),
        (("npz",), "data_dir: got none, expected the file to read"),
        (("npz", "x.npz", (8, 8)), "image_size: got (8, 8), expected none: only the images of a folder"),
        (("folder", "x", (0, 8)), "image_size: got (0, 8), expected two integers, at least 1"),
        (("folder", "x", 0), "image_size: got 0, expected two integers, at least 1"),
        (("digits", None, None, 0.8), "val_share: got 0.8, expected a number of at least 0 and below 0.8"),
    ],
)
def test_what_is_asked_for_wrongly_is_said(arguments, message):
    name, path, size, share = (*arguments, *(None, None, 0.1)[len(arguments) - 1 :])
    with pytest.raises(ValueError, match="got") as caught:
        read(name, path, image_size=size, val_share=share)
    assert str(caught.value).startswith(message)


def test_digits_need_no_path():
    data = read("digits")
    assert [len(split) for split in data.splits().values()] == [1295, 142, 360]


@pytest.mark.parametrize(("option", "value"), [
    ("skip_unreadable", True), ("background", "white"), ("max_megapixels", 1), ("labels", "labels.csv"), ("white", 255),
])  # fmt: skip
def test_options_of_files_are_for_folders_alone(option, value):
    with pytest.raises(ValueError, match=f"{option}: got {value!r}, expected .*: it applies only to --data folder"):
        read("digits", **{option: value})


@pytest.mark.parametrize("place", ["https://example.com/pets.zip", "s3://bucket/pets"])
def test_an_address_is_no_folder(place):
    with pytest.raises(ValueError, match=f"^data_dir: got '{place}', expected a file or folder of this machine"):
        read("folder", place)


@pytest.mark.parametrize("empty", ["", " "])
def test_no_name_is_not_the_working_directory(empty):
    with pytest.raises(ValueError, match=rf"^data_dir: got '{empty}', expected .*; is a variable of the shell empty\?"):
        read("folder", empty)
