"""What a data-parallel step costs, on paper: every device computes on its own share, then a ring adds the gradients up.

In a ring of D devices each one's S bytes are cut in D chunks; D − 1 times every device passes a chunk on and adds, and
D − 1 times more it passes on what is complete. A message of n bytes takes α + n/β. So

    ring(D, S) = 2 (D − 1) (α + S / (D β))        step(D) = c + k · ring(D, S / k)

with c what one device needs for its share of the batch and k the number of all-reduces. As D grows, the part of S/β
nears 2 S/β and stays there; the part of α grows with D without end.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Link:
    """Seconds a message takes before its first byte arrives, and bytes a second from then on."""

    alpha: float
    beta: float

    def ring(self, devices: int, size: float) -> float:
        return 2 * (devices - 1) * (self.alpha + size / (devices * self.beta))

    def step(self, devices: int, compute: float, size: float, all_reduces: int = 1) -> float:
        return compute + all_reduces * self.ring(devices, size / all_reduces)


def fit(sizes, seconds) -> Link:
    """α and β of all-reduces on two devices, t = 2 α + S/β: least squares of the relative errors."""
    sizes, seconds = np.asarray(sizes, float), np.asarray(seconds, float)
    columns = np.stack([np.full_like(sizes, 2), sizes], axis=1) / seconds[:, None]
    (alpha, per_byte), *_ = np.linalg.lstsq(columns, np.ones_like(sizes), rcond=None)
    return Link(float(alpha), float(1 / per_byte))
