"""Published data sets, fetched once into a cache and compared with their published checksums.

pooch keeps the cache, compares the checksums and throws away what does not fit them; it cannot resume after an
interruption, so the function that loads a file for it is the one here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pooch
import requests
import urllib3

from purecnn.data.cache import cache_folder

# name: where its files are, and the MD5 checksum of each, as stated by torchvision's datasets (MNIST: LeCun's files, at
# the mirror that stands in for his page), the README of zalandoresearch/fashion-mnist, and Krizhevsky's CIFAR page.
PUBLISHED: dict[str, tuple[str, dict[str, str]]] = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion-mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "cifar10": (
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
    ),
    "cifar100": (
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"},
    ),
}
TRIES = 5  # connections to one file, each from where the one before broke off
PATIENCE = 30.0  # seconds without a byte
LARGEST = 2**30  # bytes; the largest file above has 170 million

Progress = Callable[[str, int, int | None], None]  # (file, bytes here, bytes in all if the server says so)


def fetch(name: str, folder: Path | None = None, progress: Progress = lambda *_: None) -> Path:
    """The files of `name` in `folder` (by default the cache); what is there already and right is not loaded again.

    An interrupted fetch is resumed from FILE.partial. Raises OSError, naming the address, where the server
    fails or the download does not have the published checksum; that file is then removed.
    """
    address, files = PUBLISHED[name]
    folder = cache_folder(name) if folder is None else folder
    pooch.get_logger().setLevel("WARNING")  # progress is reported here

    def download(url: str, output_file: str, _: Any) -> None:
        partial = folder / f"{os.path.basename(url)}.partial"
        _load(url, partial, progress)
        os.replace(partial, output_file)

    downloader: Any = download
    for file, md5 in files.items():
        try:
            pooch.retrieve(address + file, f"md5:{md5}", fname=file, path=folder, downloader=downloader)
        except ValueError as error:
            raise OSError(
                f"{address}{file}: the download's checksum is not the published md5 {md5}; removed"
            ) from error
        progress(file, (folder / file).stat().st_size, None)
    return folder


def _load(url: str, partial: Path, progress: Progress) -> None:
    """All of `url` into the file `partial`, of which the beginning may be there."""
    for left in reversed(range(TRIES)):
        try:
            return _go_on(url, partial, progress)
        except (urllib3.exceptions.HTTPError, requests.ConnectionError, requests.Timeout) as error:
            if not left:
                have = partial.stat().st_size if partial.exists() else 0
                kept = f"; {have:,} bytes are kept, the same command resumes there" if have else ""
                what = f"no connection, or broken off, {TRIES} times ({type(error).__name__})"
                raise OSError(f"{url}: {what}{kept}") from error
            time.sleep(0.2)


def _go_on(url: str, partial: Path, progress: Progress) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    # Packed files are wanted as they are: a server may call their packing a packing for the way.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=PATIENCE)
    except requests.RequestException as error:
        if isinstance(error, requests.ConnectionError | requests.Timeout):
            raise
        raise OSError(f"{url}: {error}") from error
    with response:
        if response.status_code == 416:  # nothing left to give: all of it is here, if the checksum agrees
            return
        if response.status_code not in (200, 206):
            raise OSError(f"{url}: the server says {response.status_code} {response.reason}")
        have = have if response.status_code == 206 else 0  # 200: from the start, whatever was asked for
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        with open(partial, "ab" if have else "wb") as file:
            for chunk in response.raw.stream(2**16, decode_content=False):
                file.write(chunk)
                have += len(chunk)
                if have > LARGEST:
                    raise OSError(f"{url}: sent more than {LARGEST:,} bytes, more than any published file has")
                progress(partial.stem, have, total)
