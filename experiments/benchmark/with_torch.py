"""The same steps in PyTorch: NCHW or channels-last, eager or compiled. Importing this needs torch."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from experiments.benchmark.nets import DROPOUT, FLATTEN, NORM, Conv, Dense, Net, Pool, example

LAYOUTS = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}


def images(x, layout: str) -> torch.Tensor:
    """(N, H, W, C) -> a tensor N C H W, laid out as asked."""
    return torch.from_numpy(np.array(x)).permute(0, 3, 1, 2).contiguous(memory_format=LAYOUTS[layout])


def kernel(w, layout: str) -> torch.Tensor:
    """H W I O -> O I H W."""
    return torch.from_numpy(np.array(w)).permute(3, 2, 0, 1).contiguous(memory_format=LAYOUTS[layout])


def parameters(net: Net, params, layout: str = "NCHW") -> list[torch.Tensor]:
    """purecnn's parameters in torch's order of axes: behind a flatten, torch reads channels, rows, columns."""
    tensors, flat = [], None
    for op, p, shape in zip(net.spec, params, net.chain.shapes(net.shape), strict=False):
        if op == FLATTEN:
            flat = shape
        elif isinstance(op, Conv):
            tensors += [kernel(p["w"], layout), torch.from_numpy(np.array(p["b"]))]
        elif isinstance(op, Dense):
            w = np.array(p["w"])
            if flat is not None:
                w, flat = w.reshape(*flat, -1).transpose(2, 0, 1, 3).reshape(w.shape), None
            tensors += [torch.from_numpy(np.ascontiguousarray(w.T)), torch.from_numpy(np.array(p["b"]))]
    return tensors


def logits(net: Net, tensors: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    rest = iter(tensors)
    for op in net.spec:
        if isinstance(op, Conv):
            x = F.conv2d(x, next(rest), next(rest), stride=op.stride, padding=op.padding)
        elif isinstance(op, Pool):
            x = F.max_pool2d(x, op.window, op.stride)
        elif isinstance(op, Dense):
            x = F.linear(x, next(rest), next(rest))
        elif op == FLATTEN:
            x = x.flatten(1)
        elif op != DROPOUT:
            x = F.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0) if op == NORM else F.relu(x)
    return x


def loss(net: Net, tensors: list[torch.Tensor], x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits(net, tensors, x), labels)


def _start(net: Net, layout: str):
    params, x, labels = example(net)
    tensors = [t.requires_grad_() for t in parameters(net, params, layout)]
    return tensors, images(x, layout), torch.from_numpy(np.array(labels, np.int64))


def gradients(net: Net) -> tuple[float, list[np.ndarray]]:
    """The loss, and its gradient in torch's layout."""
    tensors, x, labels = _start(net, "NCHW")
    value = loss(net, tensors, x, labels)
    return value.item(), [g.numpy() for g in torch.autograd.grad(value, tensors)]


def step(net: Net, layout: str, compiled: bool = False) -> Callable[[], object]:
    tensors, x, labels = _start(net, layout)
    optimizer = torch.optim.SGD(tensors, lr=0.01, momentum=0.9)
    value_of = torch.compile(loss, dynamic=False) if compiled else loss

    def run():
        optimizer.zero_grad(set_to_none=True)
        value = value_of(net, tensors, x, labels)
        value.backward()
        optimizer.step()
        return value.item()

    return run


def per_sample(net: Net, layout: str) -> Callable[[], object]:
    """One gradient for each sample, by torch.func."""
    tensors, x, labels = _start(net, layout)
    tensors = [t.detach() for t in tensors]
    one = torch.func.grad(lambda tensors, x, y: loss(net, tensors, x[None], y[None]))
    each = torch.func.vmap(one, in_dims=(None, 0, 0))
    return lambda: each(tensors, x, labels)


def conv_forward(x, w, b, stride: int, padding: int, layout: str) -> Callable[[], object]:
    x, w, b = images(x, layout), kernel(w, layout), torch.from_numpy(np.array(b))
    return lambda: F.conv2d(x, w, b, stride=stride, padding=padding)


def conv_backward(x, w, y_bar, stride: int, padding: int, input_too: bool, layout: str) -> Callable[[], object]:
    x, w, g = images(x, layout), kernel(w, layout), images(y_bar, layout)
    ask = [input_too, True, True]
    sizes = ([w.shape[0]], [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1)
    return lambda: torch.ops.aten.convolution_backward(g, x, w, *sizes, ask)


def depthwise(x, w, y_bar, stride: int, layout: str) -> Callable[[], object]:
    """Forward and backward."""
    x, w, g = images(x, layout).requires_grad_(), kernel(w, layout).requires_grad_(), images(y_bar, layout)

    def run():
        y = F.conv2d(x, w, stride=stride, padding=w.shape[2] // 2, groups=x.shape[1])
        return torch.autograd.grad(y, (x, w), g)

    return run


def batch_norm(x, scale, bias, y_bar, layout: str) -> Callable[[], object]:
    """Forward and backward."""
    x, g = images(x, layout).requires_grad_(), images(y_bar, layout)
    scale, bias = (torch.from_numpy(np.array(a)).requires_grad_() for a in (scale, bias))
    return lambda: torch.autograd.grad(F.batch_norm(x, None, None, scale, bias, training=True), (x, scale, bias), g)


def pool_backward(x, y_bar, window: int, stride: int, layout: str) -> Callable[[], object]:
    x, g = images(x, layout), images(y_bar, layout)
    sizes = ([window] * 2, [stride] * 2, [0, 0], [1, 1], False)
    _, winners = torch.ops.aten.max_pool2d_with_indices(x, *sizes)
    return lambda: torch.ops.aten.max_pool2d_with_indices_backward(g, x, *sizes, winners)
