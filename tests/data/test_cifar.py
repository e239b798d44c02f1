import gzip
import io
import tarfile
from functools import partial

import numpy as np
import pytest

from purecnn.data import readers
from tests.data.making import CIFAR_NAMES, cifar_archive, cifar_files, tar_gz

read = partial(readers.read, val_share=0.0)  # nothing held out to validate: tests/data/test_holdout.py

INSIDE = {"cifar10": "cifar-10-batches-bin", "cifar100": "cifar-100-binary"}
ARCHIVE = {"cifar10": "cifar-10-binary.tar.gz", "cifar100": "cifar-100-binary.tar.gz"}


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("layout", ["folder", "folder inside", "archive", "archive inside"])
@pytest.mark.parametrize("kind", INSIDE)
def test_what_was_written_is_read(tmp_path, kind, layout):
    files, train, test = cifar_files(kind)
    if "archive" in layout:
        (tmp_path / ARCHIVE[kind]).write_bytes(cifar_archive(files, kind))
    else:
        write(tmp_path / INSIDE[kind], files)
    path = {"folder": tmp_path / INSIDE[kind], "archive": tmp_path / ARCHIVE[kind]}.get(layout, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    data = read(kind, str(path))
    assert sorted(tmp_path.rglob("*")) == before  # nothing is unpacked
    assert data.name == kind
    assert data.classes == (CIFAR_NAMES if kind == "cifar10" else tuple(f"thing_{n}" for n in range(100)))
    for split, (images, labels) in ((data.train, train), (data.test, test)):
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int32)
        np.testing.assert_array_equal(split.images, images)
        np.testing.assert_array_equal(split.labels, labels)


def test_without_names_classes_are_numbers(tmp_path):
    files, *_ = cifar_files()
    del files["batches.meta.txt"]
    write(tmp_path, files)
    assert read("cifar10", str(tmp_path)).classes == tuple("0123456789")


def changed(name, data):
    return lambda files: files | {name: data(files[name])}


CORRUPT = {
    "missing": (lambda files: {n: d for n, d in files.items() if n != "data_batch_3.bin"}, "data_batch_3.bin"),
    "cut": (
        changed("test_batch.bin", lambda d: d[:-1]),
        "61,459 bytes, expected whole records of 3073",
    ),
    "empty": (changed("data_batch_1.bin", lambda d: b""), "data_batch_1.bin: 0 bytes, expected whole records"),
    "label": (
        changed("data_batch_2.bin", lambda d: b"\x0a" + d[1:]),
        "batch_2.bin: label 0 is 10, expected 0 to 9",
    ),
    "names": (changed("batches.meta.txt", lambda d: d + b"horse\n"), "batches.meta.txt: expected 10 names"),
    "binary names": (changed("batches.meta.txt", lambda d: d.replace(b"cat", b"\x1b[2J")), "expected 10 names"),
    "long names": (changed("batches.meta.txt", lambda d: d * 10_000), "expected 10 names"),
}


@pytest.mark.parametrize("archived", [True, False])
@pytest.mark.parametrize("kind", CORRUPT)
def test_a_corrupt_file_is_named_with_the_reason(tmp_path, kind, archived):
    corrupt, reason = CORRUPT[kind]
    files = corrupt(cifar_files()[0])
    if archived:
        (tmp_path / ARCHIVE["cifar10"]).write_bytes(cifar_archive(files))
    else:
        write(tmp_path, files)
    with pytest.raises(ValueError, match=reason) as caught:
        read("cifar10", str(tmp_path))
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


def with_member(name, data=b"", **fields):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for field, value in fields.items():
        setattr(member, field, value)
    files = list(cifar_files()[0].items())
    return tar_gz([*files[:3], (member, data), *files[3:]])


def flipped(data, place=-12):
    """One bit in the middle of what is packed, the packing itself being right: gzip's checksum alone can tell."""
    raw = bytearray(gzip.decompress(data))
    raw[len(raw) // 2] ^= 1
    return gzip.compress(bytes(raw))[:-8] + data[-8:]


ARCHIVES = {
    "cut": (lambda: cifar_archive(cifar_files()[0])[:-2000], "end-of-stream|unexpected end"),
    "flipped": (lambda: flipped(cifar_archive(cifar_files()[0])), "CRC check failed"),
    "not gzip": (
        lambda: b"this is a text" * 100,
        r"got no archive, expected cifar-\w+-binary\.tar\.gz, or the folder of",
    ),
    "a zip": (lambda: b"PK\x03\x04" + 99 * b"x", r"got a ZIP archive, expected cifar-\w+-binary\.tar\.gz"),
    "gzip of text": (lambda: gzip.compress(b"this is a text" * 100), "invalid header|truncated header|bad checksum"),
    "leads up": (lambda: with_member("../../data_batch_1.bin", b"x"), "leads out of the archive"),
    "absolute": (lambda: with_member("/etc/passwd", b"x"), "leads out of the archive"),
    "a link": (lambda: with_member("test_batch.bin", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "not a regular"),
    "twice": (lambda: with_member("again/data_batch_1.bin", b"x"), "is in it twice"),
    "a bomb": (lambda: with_member("zeros", bytes(2**27)), "decompression bomb"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_corrupt_archive_is_refused_and_nothing_is_written(tmp_path, kind):
    make, reason = ARCHIVES[kind]
    path = tmp_path / "inner" / ARCHIVE["cifar10"]
    path.parent.mkdir()
    path.write_bytes(make())
    with pytest.raises(ValueError, match=reason) as caught:
        read("cifar10", str(path))
    assert str(caught.value).startswith(str(path))
    assert sorted(tmp_path.rglob("*")) == [path.parent, path]


def test_a_size_in_a_header_is_not_believed(tmp_path):
    data = bytearray(cifar_files()[0]["data_batch_1.bin"])
    member = tarfile.TarInfo("data_batch_1.bin")
    member.size = 2**40
    raw = member.tobuf(tarfile.GNU_FORMAT) + bytes(data)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(raw))
    with pytest.raises(ValueError, match=r"declares 1,099,511,627,776 bytes"):
        read("cifar10", str(tmp_path / "a.tar.gz"))
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:  # what another reader would have believed
        assert archive.next().size == 2**40


@pytest.mark.parametrize(
    ("kind", "folder", "inside"),
    [("cifar10", "cifar-10-batches-py", "data_batch_1"), ("cifar100", "cifar-100-python", "train")],
)
def test_the_version_for_python_is_said_to_be_the_other_one(tmp_path, kind, folder, inside):
    write(tmp_path / folder, {inside: b"\x80\x04."})
    archive = tmp_path / f"{kind[:5]}-{kind[5:]}-python.tar.gz"
    archive.write_bytes(tar_gz([(f"{folder}/{inside}", b"\x80\x04.")]))
    for path in (tmp_path / folder, archive):
        with pytest.raises(
            ValueError, match=f"expected the binary version, not that for Python: purecnn data fetch {kind}$"
        ):
            read(kind, str(path))
