"""The same steps in PyTorch: NCHW or channels-last, eager or compiled. Importing this needs torch."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

from experiments.benchmark.nets import Net, example
from experiments.benchmark.specs import (
    BATCH_NORM,
    DROPOUT,
    FLATTEN,
    GELU,
    GLOBAL_POOL,
    LAYER_NORM,
    LAYER_NORM_EPSILON,
    NORM,
    RELU,
    RELU6,
    Conv,
    Dense,
    Pool,
    Residual,
)

LAYOUTS = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}


def images(x, layout: str) -> torch.Tensor:
    """(N, H, W, C) -> a tensor N C H W, laid out as asked."""
    return torch.from_numpy(np.array(x)).permute(0, 3, 1, 2).contiguous(memory_format=LAYOUTS[layout])


def kernel(w, layout: str) -> torch.Tensor:
    """H W I O -> O I H W."""
    return torch.from_numpy(np.array(w)).permute(3, 2, 0, 1).contiguous(memory_format=LAYOUTS[layout])


def parameters(net: Net, params, layout: str = "NCHW") -> list[torch.Tensor]:
    """purecnn's parameters in torch's order of axes: behind a flatten, torch reads channels, rows, columns."""
    return _parameters(net.spec, params, net.chain.shapes(net.shape), layout)


def _parameters(spec: tuple, params, shapes, layout: str) -> list[torch.Tensor]:
    tensors, flat = [], None
    for op, p, shape in zip(spec, params, shapes, strict=False):
        if op == FLATTEN:
            flat = shape
        elif isinstance(op, Residual):
            for part, name in ((op.body, "body"), (op.shortcut, "shortcut")):
                tensors += _parameters(part, p[name], [()] * len(part), layout)  # without a flatten
        elif isinstance(op, Conv):
            tensors += [kernel(p["w"], layout), *_vectors(p, ["b"] * op.bias)]
        elif isinstance(op, Dense):
            w = np.array(p["w"])
            if flat is not None:
                w, flat = w.reshape(*flat, -1).transpose(2, 0, 1, 3).reshape(w.shape), None
            tensors += [torch.from_numpy(np.ascontiguousarray(w.T)), *_vectors(p, ["b"])]
        else:
            tensors += _vectors(p, ["scale", "bias"] if p else [])
    return tensors


def _vectors(p, names: list[str]) -> list[torch.Tensor]:
    return [torch.from_numpy(np.array(p[name])) for name in names]


def logits(net: Net, tensors: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return _forward(net.spec, iter(tensors), x)


def _forward(spec: tuple, rest: Iterator[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    for op in spec:
        if isinstance(op, Conv):
            w, b = next(rest), next(rest) if op.bias else None
            x = F.conv2d(x, w, b, stride=op.stride, padding=op.padding, groups=op.groups)
        elif isinstance(op, Pool):
            x = F.max_pool2d(x, op.window, op.stride, padding=op.padding)
        elif isinstance(op, Dense):
            x = F.linear(x, next(rest), next(rest))
        elif isinstance(op, Residual):
            x = _forward(op.body, rest, x) + _forward(op.shortcut, rest, x)
        elif op == BATCH_NORM:
            x = F.batch_norm(x, None, None, next(rest), next(rest), training=True)
        elif op == LAYER_NORM:
            scale, bias = next(rest), next(rest)  # of N H W C, or of N C behind the pool
            x = F.layer_norm(x.movedim(1, -1), x.shape[1:2], scale, bias, LAYER_NORM_EPSILON).movedim(-1, 1)
        elif op != DROPOUT:
            x = WITHOUT_PARAMETERS[op](x)
    return x


WITHOUT_PARAMETERS = {
    NORM: lambda x: F.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0),
    **{
        RELU: F.relu,
        RELU6: F.relu6,
        GELU: F.gelu,
        FLATTEN: lambda x: x.flatten(1),
        GLOBAL_POOL: lambda x: x.mean((2, 3)),
    },
}


def forward(net: Net, params, x, layout: str) -> Callable[[], object]:
    tensors, x = parameters(net, params, layout), images(x, layout)
    return lambda: logits(net, tensors, x)


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
    optimizer = torch.optim.SGD(tensors, lr=net.learning_rate, momentum=0.9)
    value_of = torch.compile(loss, dynamic=False) if compiled else loss

    def run():
        optimizer.zero_grad(set_to_none=True)
        value = value_of(net, tensors, x, labels)
        value.backward()
        optimizer.step()
        return value.item()

    return run


class Way:
    """A training step on `device`, channels last; `bfloat16` is torch's autocast, else TF32 where there is one."""

    def __init__(self, net: Net, device: str, bfloat16: bool, compiled: bool):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        tensors, x, labels = _start(net, "channels last")
        self.tensors = [t.detach().to(device).requires_grad_() for t in tensors]
        self.data = x.to(device, torch.bfloat16 if bfloat16 else torch.float32), labels.to(device)
        self.optimizer = torch.optim.SGD(self.tensors, lr=net.learning_rate, momentum=0.9, fused=device == "cuda")

        def value(tensors, x, labels):
            with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
                return loss(net, tensors, x, labels)

        self.value = torch.compile(value, dynamic=False) if compiled else value

    def steps(self, n: int) -> float:
        """`n` steps without waiting between them; the loss of the last."""
        for _ in range(n):
            self.optimizer.zero_grad(set_to_none=True)
            value = self.value(self.tensors, *self.data)
            value.backward()
            self.optimizer.step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return value.item()


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


def layer_norm(x, scale, bias, y_bar, layout: str) -> Callable[[], object]:
    """Forward and backward over the channels; "NCHW" is permuted to the end and back, as ConvNeXt does."""
    x, g = images(x, layout).requires_grad_(), images(y_bar, layout)
    scale, bias = (torch.from_numpy(np.array(a)).requires_grad_() for a in (scale, bias))

    def run():
        y = F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], scale, bias, LAYER_NORM_EPSILON).permute(0, 3, 1, 2)
        return torch.autograd.grad(y, (x, scale, bias), g)

    return run


def conv_transpose(x, w, y_bar, stride: int, padding: int, output_padding: int, layout: str) -> Callable[[], object]:
    """Forward and backward. Torch's kernel is (in, out, kh, kw): that of the convolution, as ours is."""
    x, w, g = images(x, layout).requires_grad_(), kernel(w, layout).requires_grad_(), images(y_bar, layout)
    options = {"stride": stride, "padding": padding, "output_padding": output_padding}
    return lambda: torch.autograd.grad(F.conv_transpose2d(x, w, **options), (x, w), g)


def pool_backward(x, y_bar, window: int, stride: int, layout: str) -> Callable[[], object]:
    x, g = images(x, layout), images(y_bar, layout)
    sizes = ([window] * 2, [stride] * 2, [0, 0], [1, 1], False)
    _, winners = torch.ops.aten.max_pool2d_with_indices(x, *sizes)
    return lambda: torch.ops.aten.max_pool2d_with_indices_backward(g, x, *sizes, winners)
