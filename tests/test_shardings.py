import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from purecnn.shardings import Placement, _spec_like

PARTS = [("tests.sharded", str(part), "3") for part in range(3)] + [
    ("tests.sharded_nets",),
    ("tests.batch_norm_on_devices",),
]
WHOLE = pytest.param(("tests.sharded", "0", "1", "whole"), marks=pytest.mark.slow)


@pytest.mark.parametrize("part", [*PARTS, WHOLE], ids=["rules 1", "rules 2", "rules 3", "nets", "batch norm", "whole"])
def test_every_rule_and_net_on_every_mesh_of_four_devices(part):
    """In processes of their own: the number of devices is set only once."""
    command = [sys.executable, "-m", *part]
    run = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "right on four devices\n"


def spec_like(shape, *known):
    """`_spec_like` of inputs given as (shape, spec)."""
    arrays = [jax.ShapeDtypeStruct(like, jnp.float32) for like, _ in known]
    return _spec_like(shape, arrays, [Placement("a mesh", spec, frozenset()) for _, spec in known])


def test_an_output_takes_batch_and_channels_from_the_inputs_that_have_them():
    x, w = ((8, 5, 5, 3), P("data", None, None, None)), ((3, 3, 3, 6), P(None, None, None, "model"))
    assert spec_like((8, 3, 3, 6), x, w) == P("data", None, None, "model")  # a convolution's
    assert spec_like((8, 5, 5, 3), x, w) == P("data", None, None, None)  # of x's own shape
    assert spec_like((8,), x) == P("data")  # a loss
    assert spec_like((8, 75), x) == P("data", None)  # flattened
    assert spec_like((), x) == P()
    assert spec_like((0, 5, 5, 3), x) == P(None, None, None, None)  # a shape carrier


def test_no_mesh_axis_is_given_twice():
    x, w = ((8, 4), P("data", None)), ((4, 6), P(None, "data"))
    assert spec_like((8, 6), x, w) == P("data", None)
    x = ((8, 4), P(("data", "model"), None))
    assert spec_like((8, 6), x, ((4, 6), P(None, "model"))) == P(("data", "model"), None)


def test_what_is_on_no_mesh_says_nothing():
    arrays = [jax.ShapeDtypeStruct((8, 4), jnp.float32)]
    assert _spec_like((8, 4), arrays, [Placement(None, P(), frozenset())]) == P(None, None)
