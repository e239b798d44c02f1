import os

import pytest

from purecnn.data.labels import read_labels
from purecnn.data.readers import read
from tests.data.making import write_folder


def test_columns_are_found_by_name_and_others_passed_over(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("\ufeffclass, who ,file\ncat,me,a.png\n dog ,you,sub/b.png\n", encoding="utf-8")
    assert read_labels(table, tmp_path) == {"a.png": ("cat", "train"), "sub/b.png": ("dog", "train")}


ROWS = ("file,class", "a.png,cat", '"sub/b.png","dog, wet"')
TABLES = {
    "lines of Windows": "\r\n".join(ROWS).encode(),
    "a mark of UTF-8": "\n".join(ROWS).encode("utf-8-sig"),
    "Excel in Europe": b"File;Class\r\na.png;cat\r\nsub/b.png;dog, wet\r\n",
    "Excel's Unicode text": "file\tclass\na.png\tcat\nsub/b.png\tdog, wet\n".encode("utf-16"),
    "metadata.csv of Hugging Face": "\n".join(("file_name,label", *ROWS[1:])).encode(),
    "paths of Windows": b'file,class\n.\\a.png,cat\nsub\\b.png,"dog, wet"\n',
    "blanks after the commas": b'file, class\na.png, cat\nsub/b.png, "dog, wet"\n',
    "what tells Excel the delimiter": b'sep=;\r\nfile;class\r\na.png;cat\r\nsub/b.png;"dog, wet"\r\n',
    "a line twice": "\n".join((*ROWS, ROWS[1])).encode(),
    "whole paths": b'file,class\nROOT/a.png,cat\nROOT/sub/b.png,"dog, wet"\n',
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_as_other_programs_write_them_are_read(tmp_path, kind):
    table = tmp_path / "labels.csv"
    table.write_bytes(TABLES[kind].replace(b"ROOT", os.fsencode(tmp_path)))
    assert read_labels(table, tmp_path) == {
        "a.png": ("cat", "train"),
        "sub/b.png": ("dog, wet", "train"),
    }


def test_a_column_of_splits_by_another_name_is_a_warning(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,class,Subset,note\na.png,cat,train,test\nb.png,cat,Valid,old\n")
    with pytest.warns(
        UserWarning, match=r"labels.csv: the column subset is passed over, expected it to be called split"
    ):
        assert read_labels(table, tmp_path) == {"a.png": ("cat", "train"), "b.png": ("cat", "train")}


def test_a_column_that_says_who_validates_is_a_warning(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,class,is_valid,test,odd\na.png,cat,False,0,0\nb.png,cat,True,,1\n")
    with pytest.warns(
        UserWarning, match=r"the column is_valid is passed over, expected a column split of train, val and"
    ):
        read_labels(table, tmp_path)


def test_lines_that_end_in_empty_cells_are_read(tmp_path):
    (tmp_path / "labels.csv").write_text("file,class\na.png,cat,\nb.png,dog,,\n\n\n")
    assert [label for label, _ in read_labels(tmp_path / "labels.csv", tmp_path).values()] == ["cat", "dog"]


def test_what_excel_writes_on_a_western_windows_has_its_letters(tmp_path):
    table, disk = tmp_path / "labels.csv", os.fsencode(tmp_path / "pets")
    for name in ("ü.png".encode(), "é.png".encode("latin-1"), "👩‍🚀.png".encode()):
        os.makedirs(disk, exist_ok=True)
        open(os.path.join(disk, name), "w").close()
    table.write_bytes("file;class\nü.png;chât\né.png;€\n".encode("cp1252") + "👩‍🚀.png;👩‍🚀\n".encode())
    found = read_labels(table, tmp_path / "pets")
    assert [label for label, _ in found.values()] == ["chât", "€", "👩‍🚀"]
    assert all((tmp_path / "pets" / file).exists() for file in found)


@pytest.mark.parametrize(
    ("file", "label"), [("image_id", "label"), ("Image", "target"), ("filepath", "labels"), ("Image Id", "Class-Name")]
)
def test_a_file_that_is_named_without_its_suffix_is_the_only_image_that_is_called_so(tmp_path, file, label):
    made = write_folder(tmp_path / "pets", each=5)
    names = [str(path.relative_to(tmp_path / "pets").with_suffix("")) for path in made]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join([f"{file},{label}", *(f"{name},{name[:3]}" for name in names)]))
    data = read("folder", str(tmp_path / "pets"), labels=str(table))
    assert data.classes == ("cat", "dog", "owl")
    assert sum(map(len, data.splits().values())) == 15
    (tmp_path / "pets/cat/0.png").rename(tmp_path / "pets/cat/0.JPG")
    assert "cat/0.JPG" in [name for split in read("folder", str(tmp_path / "pets"), labels=str(table)).splits().values()
                           for name in split.names]  # fmt: skip
    (tmp_path / "pets/cat/1.jpg").touch()  # two are called so
    with pytest.raises(ValueError, match=r"cat/1: there are cat/1\.jpg and cat/1\.png, expected one, or its suffix in"):
        read("folder", str(tmp_path / "pets"), labels=str(table))


WRONG = {
    "lines of JSON": (
        '{"file_name": "a.png"}\n',
        "got JSON, not CSV; expected file and class in the first line; save it",
    ),
    "a list of JSON": ('[{"file_name": "a.png"}]\n', "got JSON, not CSV"),
    "Parquet": ("PAR1" + 99 * "\0", "got Parquet, not CSV; expected file and class in the first line; save it as CSV"),
    "no file is there": (
        "file,class\nx/a.png,cat\nx/b.png,dog\n",
        "got x/a.png and others, of which there is none in ",
    ),
    "no columns": (
        "name,y\na.png,cat\n",
        "got the columns name, y; expected file and class in the first line; files may be called file, file_name, ",
    ),
    "no column of classes": (
        "Image,breed\na.png,cat\n",
        "got the columns image, breed; expected file and class in the first line; image is found, call the other one",
    ),
    "no column of files": ("name,label\na.png,cat\n", "; label is found, call the other one file"),
    "a column a class": (
        "image,MEL,NV\na,1.0,0.0\n",
        "; image is found, call that of the classes class; of a column for every class make one",
    ),
    "blanks between the columns": ("file class\na.png cat\n", "; commas, semicolons or tabs divide the columns"),
    "bars between the columns": ("file|class\na.png|cat\n", "; commas, semicolons or tabs divide the columns"),
    "a comma in a name": (
        "file,class\na.png,Bird, black\n",
        "line 2: got 3 cells, expected 2; a name with the delimiter in it is put in quotes",
    ),
    "an open quote": (
        'file,class\na.png,"cat\n' + "".join(f"{n}.png,dog\n" for n in range(99)),
        "line 101: got a cell over many lines, from 'cat' on, expected its quote to be closed",
    ),
    "nothing": ("", "got the columns none; expected file and class"),
    "a workbook of Excel": ("PK\x03\x04" + 999 * "\x14", "got a ZIP archive, not CSV; expected file and class"),
    "no text": (999 * "\x01\x02", "got the columns " + 30 * r"\x01\x02" + "; expected"),
    "one class": ("file,class\na.png,cat\n", "got only the class cat to train on, expected at least 2"),
    "no lines": ("file,class\n", "got no line, expected one for every image"),
    "a cell short": ("file,class\na.png\n", "line 2: got 'a.png' and '', expected a file and its class"),
    "two classes": (
        "file,class\na.png,cat\n./a.png,dog\n",
        "line 3: a.png has the class dog here and cat in an earlier line",
    ),
    "upwards": ("file,class\n../a.png,cat\n", "'../a.png' leads out of"),
    "elsewhere": ("file,class\n/etc/a.png,cat\n", "'/etc/a.png' leads out of"),
    "no first line": (
        "a.png,cat\n",
        "got the columns a.png, cat; expected file and class in the first line; it is a line of its own, such as file,",
    ),
    "a split of none": (
        "file,class,split\na.png,cat,dev\n",
        "line 2: got the split 'dev', expected train, val or test",
    ),
    "two splits": (
        "file,class,split\na.png,cat,train\na.png,cat,Test\n",
        "line 3: a.png has the class cat of test here and cat of train in an earlier line",
    ),
    "a class only tested": (
        "file,class,split\na.png,cat,train\nb.png,dog,train\nc.png,owl,test\n",
        "class owl is in test alone, expected some of it in train; leave its lines out, or train on some of them",
    ),
    "nothing to train on": ("file,class,split\na.png,cat,test\n", "got no class to train on, expected at least 2"),
    "a tab in a class": (
        "file,class\na.png,black\tcat\n",
        r"line 2: got 'a.png' and 'black\tcat', expected a file and its class, without control characters such as tabs",
    ),
    "a null": ("file,class\na\0.png,cat\n", "labels.csv: line 2: got 'a\\x00.png' and 'cat', expected"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_table_is_refused_with_its_line(tmp_path, kind):
    text, reason = WRONG[kind]
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(ValueError, match=r"labels\.csv") as caught:
        read("folder", str(tmp_path), labels=str(tmp_path / "labels.csv"))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_images_in_any_folder_have_the_classes_of_the_table(tmp_path):
    made = write_folder(tmp_path / "pets", each=5)
    rows = [f"{path.relative_to(tmp_path / 'pets')},{'odd' if n % 2 else 'even'}" for n, path in enumerate(made)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,class", *rows]))
    data = read("folder", str(tmp_path / "pets"), labels=str(tmp_path / "labels.csv"))
    assert data.classes == ("even", "odd")
    assert [len(split) for split in data.splits().values()] == [10, 2, 3]
    known = {made[tmp_path / "pets" / name].tobytes(): n % 2 for n, name in enumerate(row[:9] for row in rows)}
    for split in data.splits().values():
        assert [known[image.tobytes()] for image in split.images] == split.labels.tolist()
    next(iter(made)).unlink()
    with pytest.raises(ValueError, match=r"cat/0\.png: there is no such file; --skip-unreadable"):
        read("folder", str(tmp_path / "pets"), labels=str(tmp_path / "labels.csv"))


@pytest.mark.parametrize(
    ("names", "counts", "notes"),
    [
        (("train", "Validation", "TEST"), {"train": 9, "val": 3, "test": 3}, ()),
        (
            ("train", "train", "valid"),
            {"train": 9, "val": 3, "test": 3},
            (
                "of the two splits, val is the one to test with",
                "held out of every class of train, by file name: 10 % to validate",
            ),
        ),
    ],
)
def test_a_column_of_splits_divides_the_images_and_those_it_does_not_name_are_counted(tmp_path, names, counts, notes):
    made = write_folder(tmp_path / "pets", each=6)
    numbers = {0: names[1], 1: names[2]}
    lines = [
        f"{path.relative_to(tmp_path / 'pets')},{path.parent.name},{numbers.get(int(path.stem), names[0])}"
        for path in made
        if path.stem != "5"
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["file,class,split", *lines]))
    data = read("folder", str(tmp_path / "pets"), labels=str(tmp_path / "labels.csv"))
    assert {name: len(split) for name, split in data.splits().items()} == counts
    left_out = f"3 images of {tmp_path}/pets are not in {tmp_path}/labels.csv and left out"
    assert data.notes == (left_out, *notes)
    assert sorted(data.test.names) == [f"{name}/1.png" for name in ("cat", "dog", "owl")]
    assert data.test.labels.tolist() == [0, 1, 2]


def test_a_folder_below_that_has_the_files_of_a_table_is_named(tmp_path):
    write_folder(tmp_path, classes=("train",))
    (tmp_path / "other").mkdir()
    (table := tmp_path / "labels.csv").write_text("id,label\n0,cat\n1,dog\n2,cat\n")
    message = rf"labels.csv: got 0 and others, .*; did you mean --data-dir {tmp_path}/train\?$"
    with pytest.raises(ValueError, match=message):
        read("folder", str(tmp_path), labels=str(table))


def test_a_file_that_lies_deeper_is_named(tmp_path):
    write_folder(tmp_path / "images", classes=("a", "b"))
    (tmp_path / "labels.csv").write_text("id,label\n0,cat\n1,dog\n")
    with pytest.raises(
        ValueError, match=r"of which there is none in .*; expected their paths from there, such as images/"
    ):
        read("folder", str(tmp_path), labels=str(tmp_path / "labels.csv"))


def test_a_file_with_more_behind_its_name_is_named(tmp_path):
    for path in write_folder(tmp_path / "pets", classes=("a",)):
        path.rename(path.parent.parent / f"ISIC_{path.stem}_downsampled.png")
    (tmp_path / "t.csv").write_text("id,label\nISIC_0,cat\nISIC_1,dog\n")
    with pytest.raises(ValueError, match=r"got ISIC_0 and others, .* from there, such as ISIC_0_downsampled\.png$"):
        read("folder", str(tmp_path / "pets"), labels=str(tmp_path / "t.csv"))


def test_one_image_is_left_out_in_the_singular(tmp_path):
    made = write_folder(tmp_path, each=20, classes=("a", "b"))
    (tmp_path / "t.csv").write_text("file,class\n" + "".join(f"{path},{path.parent.name}\n" for path in [*made][1:]))
    assert "1 image of " in read("folder", str(tmp_path), labels=str(tmp_path / "t.csv")).notes[0]
