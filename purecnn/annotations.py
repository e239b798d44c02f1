"""Array types for signatures: `Float[Array, "n h w c"]`.

The shapes are for the reader and the type checker; jaxtyping and beartype check them at run time in the tests, whose
pytest hook has loaded jaxtyping before purecnn is imported. A plain `import purecnn` needs neither.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Array, Float, Key, Num, Shaped
else:
    from jax import Array

    # Annotations are strings (PEP 563) and are not evaluated here.
    Float = Key = Num = Shaped = Any

__all__ = ["Array", "Float", "Key", "Num", "Shaped"]
