import os
from unittest import mock

import pytest

from verify.running import unoptimised


@pytest.fixture(scope="module", autouse=True)
def compiled_in_little_time():
    """A quick form takes longer to compile than to run, also in a process of its own."""
    with mock.patch.dict(os.environ, JAX_DISABLE_MOST_OPTIMIZATIONS="1"), unoptimised():
        yield
