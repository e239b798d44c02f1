"""torchvision's nets, their weights drawn at random, and what PyTorch computes with them. Importing this needs both."""

import sys
import types
from typing import Any

import numpy as np

# Beside a PyTorch for CPUs alone, torchvision's compiled operators do not load; its models need none of them.
sys.modules["torchvision._meta_registrations"] = types.ModuleType("no operators")

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
import torchvision  # noqa: E402

NAMES = {"alexnet_one_tower": "alexnet"}
VERSIONS = {"torch": torch.__version__, "torchvision": torchvision.__version__}
Arrays = dict[str, np.ndarray]


def drawn(name: str, classes: int, seed: int = 0) -> torch.nn.Module:
    """The net with its own initial kernels, everything else of it drawn too."""
    torch.manual_seed(seed)
    net = getattr(torchvision.models, NAMES.get(name, name))(num_classes=classes)
    randomise(net)
    return net


def randomise(net: torch.nn.Module) -> None:
    """All but kernels drawn anew, and nothing dropped in training."""
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, torch.nn.Dropout | torchvision.ops.StochasticDepth):
                part.p = 0.0
        for key, value in net.state_dict().items():  # its values are the net's own
            if key.endswith(("layer_scale", "gamma")):
                value.uniform_(0.1, 0.5)  # at 1e-6 a block would hardly be seen
            elif key.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif key.endswith(("bias", "running_mean")):
                value.normal_(0, 0.1)
            elif value.ndim == 1:  # the scale of a normalisation
                value.uniform_(0.5, 1.5)


def shapes(name: str) -> dict[str, list[int]]:
    """The shape of every array of the net, by its name, in the net's order."""
    with torch.device("meta"):
        net = getattr(torchvision.models, NAMES.get(name, name))()
    return {key: list(value.shape) for key, value in net.state_dict().items()}


def arrays(net: torch.nn.Module) -> Arrays:
    """Copies: the net is trained further."""
    return {key: value.detach().numpy().copy() for key, value in net.state_dict().items()}


def logits(net: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    """Of images (N, H, W, C), in inference."""
    with torch.no_grad():
        return net.eval()(_images(x)).numpy()


def descend(net: torch.nn.Module, x: np.ndarray, labels: np.ndarray, rate: float, steps: int):
    """Gradient descent in training: the first mean loss, its gradient by every parameter, and the net after."""
    optimizer: Any = torch.optim.SGD(net.train().parameters(), lr=rate)
    first = None
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(_images(x)), torch.from_numpy(labels))
        loss.backward()
        first = first or (loss.item(), {key: p.grad.numpy().copy() for key, p in net.named_parameters()})
        optimizer.step()
    return *first, arrays(net)


def _images(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
