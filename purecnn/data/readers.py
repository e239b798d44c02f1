"""Every reader, by its name on the command line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from purecnn.data.dataset import Dataset, Streaming
from purecnn.data.guards import fetch_hint
from purecnn.data.holdout import TEST_SHARE, VAL_SHARE, warn_of_absent_classes, with_validation
from purecnn.data.repeated_files import warn_of_repeated_files
from purecnn.data.suspicions import check_pixels, warn_of_like_names, warn_of_repeats

Data = Literal["digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "folder", "npz"]
DATA_NAMES = get_args(Data)


@dataclass(frozen=True)
class FileOptions:
    """What is made of the files of a folder: see `purecnn.data.folder.read_folder` and `image_file.Decoding`.

    `white` None: as the files of 16 bits, all together, seem to have it. `classes` and `channels` are those of a net
    that is trained already, None before.
    """

    labels: str | None = None
    skip_unreadable: bool = False
    background: str = "auto"
    max_megapixels: int = 64
    white: int | None = None
    streaming: Streaming = "auto"
    classes: tuple[str, ...] | None = None
    channels: int | None = None


def read(
    name: str,
    path: str | None = None,
    *,
    image_size: int | tuple[int, int] | None = None,
    val_share: float = VAL_SHARE,
    **files: Any,
) -> Dataset:
    """The data set `name`, from the file or folder `path` (None: where `purecnn data fetch` put it; digits need none).

    `image_size`, (height, width) or one number for both, is what a folder's images are resized to; the other sets have
    one size and take none. `files` are for a folder too, see `FileOptions`. Where there are no images to validate with,
    `val_share` of every class is held out of the training images, the same in every run; 0: none.
    Raises ValueError, in one line that names the file and the reason, for whatever cannot be read.
    """
    if name == "given":
        raise ValueError("data: got 'given' (data passed to fit by a program), which only that program can pass again")
    if name not in DATA_NAMES:
        raise ValueError(f"data: got {name!r}, expected one of {', '.join(DATA_NAMES)}")
    if name == "digits" and path is not None:
        raise ValueError(
            f"data_dir: got {path!r}, expected none: digits come with scikit-learn; --data folder reads images"
        )
    if name in ("folder", "npz") and path is None:
        raise ValueError(f"data_dir: got none, expected the {'folder' if name == 'folder' else 'file'} to read")
    if path is not None and not path.strip():
        raise ValueError(f"data_dir: got {path!r}, expected a file or folder; is a variable of the shell empty?")
    if path is not None and (hint := fetch_hint(path)):
        raise ValueError(f"data_dir: got {path!r}, expected a file or folder of this machine{hint}")
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    if size is not None and (name != "folder" or min(size) < 1):
        expected = "none: only the images of a folder are resized" if name != "folder" else "two integers, at least 1"
        raise ValueError(f"image_size: got {image_size}, expected {expected}")
    if not 0 <= val_share < 1 - TEST_SHARE:
        raise ValueError(f"val_share: got {val_share!r}, expected a number of at least 0 and below {1 - TEST_SHARE}")
    options = FileOptions(**files)
    for option, value in dataclasses.asdict(options).items():
        if name != "folder" and value != (usual := getattr(FileOptions(), option)):
            raise ValueError(f"{option}: got {value!r}, expected {usual!r}: it applies only to --data folder")
    data = _reader(name, size, val_share, options)(Path(path) if path is not None else _fetched(name))
    if name != "folder":  # whose files are held out by name
        data = with_validation(data, val_share)
    # A folder may be called anything; this goes into titles and lines that others format.
    data = dataclasses.replace(data, name=re.sub(r"[^\w. -]", "_", data.name))
    if name in ("folder", "npz"):  # the published sets are as they are
        if options.classes is None:
            warn_of_absent_classes(data)
            warn_of_like_names(data)
        warn_of_repeats(data)
        warn_of_repeated_files(data)
    if name == "npz":
        check_pixels(data.train.images, str(path))
    return data


def _fetched(name: str) -> Path:
    if name == "digits":
        return Path()
    from purecnn.data.cache import cache_folder

    folder = cache_folder(name)
    if not folder.is_dir():
        raise ValueError(f"data_dir: got none, and there is no {folder}; `purecnn data fetch {name}` fetches it")
    return folder


def _reader(
    name: str, image_size: tuple[int, int] | None, val_share: float, options: FileOptions
) -> Callable[[Path], Dataset]:
    """Imported when it is asked for: scikit-learn and Pillow take their time."""
    match name:
        case "digits":
            from purecnn.data.digits import read_digits

            return lambda _: read_digits()
        case "mnist" | "fashion-mnist":
            from purecnn.data.mnist import CLOTHES, DIGITS, read_mnist

            return lambda path: read_mnist(path, name, DIGITS if name == "mnist" else CLOTHES)
        case "cifar10" | "cifar100":
            from purecnn.data.cifar import CIFAR10, CIFAR100, read_cifar

            return lambda path: read_cifar(path, CIFAR10 if name == "cifar10" else CIFAR100)
        case "npz":
            from purecnn.data.npz import read_npz

            return read_npz
        case _:
            from purecnn.data.folder import read_folder
            from purecnn.data.image_file import Decoding

            decoding = Decoding(options.background, options.white, options.max_megapixels)
            labels = None if options.labels is None else Path(options.labels)
            how: Any = {"decoding": decoding, "skip_unreadable": options.skip_unreadable, "labels": labels}
            how |= {name: getattr(options, name) for name in ("streaming", "classes", "channels")}
            return lambda path: read_folder(path, image_size, val_share, **how)
