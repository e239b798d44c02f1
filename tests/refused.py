"""Arguments of small shapes, and a function that must refuse some of them."""

import jax
import jax.numpy as jnp
import pytest

X = jnp.ones((2, 4, 4, 3))
W = jnp.ones((3, 3, 3, 6))
ROW = jnp.ones((2, 5))


def refused(error, message, function, *args, **options):
    """Refused as it is, and while being traced."""
    for way in (function, lambda *args, **options: jax.eval_shape(lambda: function(*args, **options))):
        with pytest.raises(error) as caught:
            way(*args, **options)
        assert message in str(caught.value)
