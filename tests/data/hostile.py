"""Data sets with one thing wrong, by kinds and seeds: what `experiments/hostile_data` runs, and a part of it the tests.

A kind is a function (folder, rng) -> Hostile that writes a small data set and corrupts it in a way that no reader could
take for data: where a flipped bit would only be another pixel, it is not flipped.
"""

from tests.data import hostile_files, hostile_own, hostile_published
from tests.data.corrupting import Hostile, Kinds
from tests.data.hostile_own import saved
from tests.data.making import cifar_archive, cifar_files, write_folder, write_mnist

KINDS: Kinds = hostile_published.KINDS | hostile_own.KINDS | hostile_files.KINDS


def intact(folder):
    """The same data sets with nothing wrong: what refuses these refuses everything."""
    write_mnist(folder / "mnist", packed=False)
    write_folder(folder / "images")
    (folder / "cifar.tar.gz").write_bytes(cifar_archive(cifar_files()[0]))
    (folder / "mine.npz").write_bytes(saved())
    paths = {"mnist": "mnist", "folder": "images", "cifar10": "cifar.tar.gz", "npz": "mine.npz"}
    return [Hostile(data, folder / path, "") for data, path in paths.items()]
