"""Where fetched data sets, decoded images and compiled programs are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pooch


def cache_folder(name: str) -> Path:
    """`name` in $PURECNN_CACHE, else in the user's cache folder."""
    return Path(os.environ.get("PURECNN_CACHE") or pooch.os_cache("purecnn")) / name
