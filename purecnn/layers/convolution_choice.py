"""Which form of a convolution's three equations is taken where: what `algorithm` means in `conv2d`.

    form       what it is                                                          in
    direct     XLA's convolution; for w̄ one product per tap                        convolution.py
    even       y as XLA's convolution, with a channel of zeros more                convolution.py
    im2col     the lecture's products over all patches                             convolution_im2col.py
    blocks     neighbouring columns taken as channels: thin kernels                convolution_blocks.py
    chunks     w̄ as a product over the turned patches of a few images at a time    convolution_chunks.py
    winograd   fewer products, from sums and differences of entries: many channels convolution_winograd.py
    exchanged  w̄ as XLA's convolution, samples and channels changing places        convolution.py

On a GPU or TPU "auto" is XLA's convolutions. On a CPU XLA's are fast for y and x̄ unless the kernel is thin, and for w̄
never: the window is then the whole image. `experiments/benchmark` measures every form beside the one taken.
"""

from __future__ import annotations

from purecnn.geometry import Window
from purecnn.layers import convolution_winograd

ALGORITHMS = ("auto", "direct", "im2col", "blocks", "winograd")
MANY = 96  # channels and outputs from which products saved are worth the sums made for them
SAVED = 1.5  # times as many products, below which they are not


def forward(algorithm: str, places: Window, channels: int, outputs: int, groups: int) -> tuple[str, str]:
    """The form of y on a CPU, and elsewhere."""
    if algorithm == "auto":
        if _many(places, channels, outputs, groups):
            return "winograd", "direct"
        if _thin(channels, outputs, groups) and (places.stride == (1, 1) or channels < 8):
            return "blocks", "direct"
        return "even" if _lopsided(channels, outputs, groups) else "direct", "direct"
    form = _known(algorithm, places, groups)
    return form, form


def input_cotangent(algorithm: str, places: Window, channels: int, outputs: int, groups: int) -> tuple[str, str]:
    """The form of x̄ on a CPU, and elsewhere."""
    if algorithm == "auto":
        if _many(places, channels, outputs, groups):
            return "winograd", "direct"
        in_blocks = _thin(channels, outputs, groups) and places.stride == (1, 1)
        return "blocks" if in_blocks else "direct", "direct"
    form = "direct" if algorithm == "blocks" and places.stride != (1, 1) else _known(algorithm, places, groups)
    return form, form


def weight_cotangent(algorithm: str, places: Window, channels: int, outputs: int, groups: int) -> tuple[str, str]:
    """The form of w̄ on a CPU, and elsewhere."""
    if algorithm == "auto":
        if _many(places, channels, outputs, groups):
            return "winograd", "exchanged"
        in_blocks = _thin(channels, outputs, groups) and places.stride == (1, 1) and channels == 1
        return "blocks" if in_blocks else "chunks", "exchanged"
    form = _known(algorithm, places, groups)
    return form, form


def _thin(channels: int, outputs: int, groups: int) -> bool:
    """At most as many channels on either side as a vector register holds: LeNet's layers are."""
    return max(channels, outputs) <= 16 and groups == 1


def _lopsided(channels: int, outputs: int, groups: int) -> bool:
    """Where XLA's convolution takes two to four times as long as with one channel more: colour images are hit."""
    return channels % 2 == 1 and channels > 1 and 16 < outputs <= 32 and groups == 1


def _many(places: Window, channels: int, outputs: int, groups: int) -> bool:
    """Products are most of the work, and a third or more can be saved: all of AlexNet but its first layer."""
    if not convolution_winograd.fits(places, groups):
        return False
    return min(channels, outputs) >= MANY and convolution_winograd.products_saved(places) >= SAVED


def _known(algorithm: str, places: Window, groups: int) -> str:
    """What is asked for, or "direct" where it does not know the convolution: blocks know nothing of groups."""
    if algorithm == "winograd" and not convolution_winograd.fits(places, groups):
        return "direct"
    return "direct" if algorithm == "blocks" and groups > 1 else algorithm
