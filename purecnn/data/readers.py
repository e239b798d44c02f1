"""Every reader by the name the command line knows it under."""

from __future__ import annotations

from purecnn.data.digits import read_digits

READERS = {"digits": read_digits}
