"""Which form of a convolution's three equations is taken where: what `algorithm` means in `conv2d`.

    form       what it is                                                          in
    direct     XLA's convolution; for w̄ one product per tap                        convolution.py
    im2col     the lecture's products over all patches                             convolution_im2col.py
    blocks     products with the kernel as a banded matrix: thin kernels           convolution_blocks.py
    chunks     w̄ as a product per chunk of images that stays in the cache          convolution_chunks.py
    exchanged  w̄ as XLA's convolution, samples and channels changing places        convolution.py

On a GPU or TPU "auto" is XLA's convolutions. On a CPU XLA's are fast for y and x̄ unless the kernel is thin, and for w̄
never: the window is then the whole image. `experiments/benchmark` measures every form beside the one taken.
"""

from __future__ import annotations

ALGORITHMS = ("auto", "direct", "im2col", "blocks")


def forward(algorithm: str, channels: int, outputs: int, groups: int) -> tuple[str, str]:
    """The form of y on a CPU, and elsewhere."""
    if algorithm == "auto":
        return "blocks" if _thin(channels, outputs, groups) else "direct", "direct"
    form = _ungrouped(algorithm, groups)
    return form, form


def input_cotangent(algorithm: str) -> str:
    """The form of x̄, the same everywhere: it is direct unless im2col is asked for."""
    return "im2col" if algorithm == "im2col" else "direct"


def weight_cotangent(algorithm: str, channels: int, outputs: int, groups: int) -> tuple[str, str]:
    """The form of w̄ on a CPU, and elsewhere."""
    if algorithm == "auto":
        in_blocks = _thin(channels, outputs, groups) or channels == 1
        return "blocks" if in_blocks else "chunks", "exchanged"
    form = _ungrouped(algorithm, groups)
    return form, form


def _thin(channels: int, outputs: int, groups: int) -> bool:
    """Fewer channels than fill a vector register on either side of the product: LeNet's layers are."""
    return channels < 8 and outputs <= 16 and groups == 1


def _ungrouped(algorithm: str, groups: int) -> str:
    """Blocks of several outputs know nothing of groups."""
    return "direct" if algorithm == "blocks" and groups > 1 else algorithm
