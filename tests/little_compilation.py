"""For files whose programs take longer to compile than to run, also in processes of their own: import the fixture."""

import os
from unittest import mock

import pytest

from verify.running import unoptimised


@pytest.fixture(scope="module", autouse=True)
def little_compilation():
    with mock.patch.dict(os.environ, JAX_DISABLE_MOST_OPTIMIZATIONS="1"), unoptimised():
        yield
