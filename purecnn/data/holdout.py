"""Which samples of a set that comes undivided are held out to test with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

TEST_SHARE = 0.2


def held_out(names: Sequence[str], labels: np.ndarray) -> np.ndarray:
    """True for a fifth of every class, at least one and not all, chosen by a checksum of the samples' names.

    The split belongs to the data: no seed changes it, and a sample that is added or taken away moves at most one other
    of its class. Every class needs two samples.
    """
    checksums = np.array([hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest() for name in names])
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(round(TEST_SHARE * len(members)), 1), len(members) - 1)
        chosen[members[np.argsort(checksums[members], kind="stable")[:count]]] = True
    return chosen
