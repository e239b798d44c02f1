"""What the benchmark compares computes the same thing."""

import time

import jax
import jax.numpy as jnp
import pytest

import purecnn
from experiments.benchmark import (
    extremes,
    gpu,
    gpu_row,
    kernels,
    layers,
    nets,
    page,
    small_w_bar,
    specs,
    with_flax,
    with_jax,
)
from experiments.benchmark.agreement import apart
from experiments.benchmark.measure import taking_turns
from experiments.benchmark.memory import residual_bytes
from experiments.benchmark.nets import NETS, example, plain_logits, plain_loss
from verify.running import quickly


@pytest.fixture(autouse=True)
def as_users_write_it():
    """Plain networks add biases without reshaping them."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("name", ["lenet", "cifar_cnn"])
def test_the_plain_net_has_our_loss_and_gradient(name):
    """In float64, where no two entries of a pool's window are equal but for rounding."""
    net = NETS[name]
    with jax.enable_x64(True):
        params, x, labels = example(net, batch=8)
        params, x = jax.tree.map(lambda a: a.astype(jnp.float64), (params, x))
        ours = quickly(lambda p: purecnn.backprop(net.chain, p, x, labels))(params)
        theirs = quickly(jax.value_and_grad(lambda p: plain_loss(net, p, x, labels)))(params)
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            assert a.dtype == b.dtype == jnp.float64
            assert apart(a, b) < 1e-12


def test_every_kernel_is_compared_and_timed_beside_the_page(monkeypatch):
    monkeypatch.setitem(layers.CONVS, "tiny", ((2, 4, 4, 8), (3, 3, 8, 8), 1, 1, True))
    lines = [kernels.row("tiny", equation, rounds=1, turn_s=0.0) for equation in kernels.EQUATIONS]
    assert ["banded" in lines[0], "(auto)" in lines[1], "wgrad_chunked" in lines[2]] == [True] * 3
    assert lines[2].endswith("(auto: the page) |")


def test_small_weight_cotangents_are_compared_and_timed():
    assert small_w_bar.row((2, 4, 8, 8, 3, 1, 1), rounds=1, turn_s=0.0).endswith("| page |")
    assert small_w_bar.row((2, 4, 8, 8, 3, 1, 2), rounds=1, turn_s=0.0).endswith("|  |")


SMALL = {
    "resnet20": nets.Net(specs.resnet_cifar(1, (4, 6)), (12, 12, 3), 4, purecnn.models.resnet_cifar(features=(4, 6))),
    "mobilenet": nets.net("mobilenet", specs.mobilenet(((6, 1), (8, 2)), 4, 5), (12, 12, 3), 4),
    "resnet50 blocks": nets.net("resnet50", specs.resnet50((1, 2), 4, 5), (24, 24, 3), 4),
    "mobilenet block": nets.net("mobilenet_block", specs.mobilenet_block(4, 2), (16, 16, 3), 4),
    "mobilenet_v2": nets.net("v2", specs.mobilenet_v2(((1, 4, 1, 1), (2, 6, 2, 2)), 4, 8, 5), (12, 12, 3), 4),
    "resnet18": nets.net("resnet18", specs.resnet18((1, 2), 4, 5), (24, 24, 3), 4),
    "convnext": nets.net("convnext", specs.convnext((4, 1), (6, 1), classes=5), (16, 16, 3), 4),
}


@pytest.mark.parametrize("name", SMALL)
def test_the_plain_net_with_normalisations_has_our_loss_and_gradient(name):
    net = SMALL[name]
    with jax.enable_x64(True):
        params, x, labels = example(net)
        params, x = jax.tree.map(lambda a: a.astype(jnp.float64), (params, x))
        state = net.chain.init_state(net.shape, jnp.float64)
        ours = quickly(lambda p: purecnn.backprop(net.chain, p, x, labels, state=state, train=True))(params)
        theirs = quickly(jax.value_and_grad(lambda p: plain_loss(net, p, x, labels)))(params)
        # A bias in front of a normalisation has no gradient but rounding: hence the norm of all, not of each.
        size = max(float(jnp.linalg.norm(b)) for b in jax.tree.leaves(theirs))
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            assert a.dtype == b.dtype == jnp.float64
            assert float(jnp.linalg.norm(a - b)) < 1e-12 * size


@pytest.mark.parametrize("name", ["resnet50 blocks", "convnext"])
def test_the_net_of_flax_has_the_plain_output(name):
    net = SMALL[name]
    params, x, _ = example(net)
    assert apart(with_flax.forward(net, params, x)(), quickly(lambda: plain_logits(net, params, x))()) < 1e-4


def test_convolutions_alone_give_the_plain_output():
    net = nets.net("vgg", specs.convolutions(specs.vgg((4, 1), (6, 2))), (8, 8, 3), 1)
    functions, args = with_jax.forwards(net)
    assert functions["purecnn"](*args).shape == (1, 2, 2, 6)
    assert apart(functions["purecnn"](*args), functions["autodiff"](*args)) < 1e-6


def test_the_layers_of_a_plain_net_are_the_models():
    for net in NETS.values():
        assert len(net.spec) == len(net.chain.layers)
        x = jax.ShapeDtypeStruct((1, *net.shape), "float32")
        params = jax.eval_shape(lambda net=net: net.chain.init(jax.random.key(0), net.shape))
        assert jax.eval_shape(lambda p, x, net=net: plain_logits(net, p, x), params, x).shape == (1, net.classes)


def test_the_first_call_is_kept_apart_and_ratios_are_within_rounds(tmp_path):
    calls = []
    ways = {"purecnn": lambda: calls.append("ours"), "autodiff": lambda: calls.append("theirs")}
    timings = taking_turns(ways, rounds=3)
    # Once to compile, once to warm up, then three rounds in which they take turns at going first.
    assert calls == ["ours", "theirs"] * 2 + ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert timings["autodiff"].ratio == 1
    assert "autodiff" in page.line("row", timings)
    memory = {"net": {way: {"residuals": 10**6, "temporaries": 2 * 10**6} for way in ways}}
    page.write(tmp_path, {"row": timings}, memory, {"row": 0.0}, "a machine")
    assert "residuals 1.0 MB, 1.00× autodiff's 1.0 MB" in (tmp_path / "table.md").read_text()
    assert "| row |" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "ratios.png").stat().st_size > 1000


def test_calls_in_a_row_are_counted_but_for_the_first_after_the_pause():
    calls = []
    timing = taking_turns({"autodiff": lambda: (calls.append(0), time.sleep(0.01))}, rounds=1, turn_s=0.035)["autodiff"]
    counted = len(calls) - 3  # to compile, to warm up, and to wake the threads
    assert 1 <= counted <= 4
    assert 10 <= timing.median_ms < 100


def test_residuals_are_counted_once_and_arguments_are_none():
    """y = Σ sin(w x)² keeps the argument of the sine's slope and of the square's: two arrays, and neither w nor x."""
    w, x = jnp.ones(3), jnp.ones((5, 3))
    assert residual_bytes(lambda w, x, _: (jnp.sin(w[None] * x) ** 2).sum(), w, x, None) == 2 * 5 * 3 * 4


def test_what_a_convolution_takes_is_twice_its_multiplications():
    assert layers.conv_flops((2, 5, 6, 3), (3, 3, 3, 4), 1, 1) == 2 * (2 * 5 * 6) * (3 * 3 * 3 * 4)
    assert layers.conv_flops((1, 7, 7, 1), (3, 3, 1, 1), 2, 0) == 2 * (3 * 3) * 9


LAYERS = [
    ("depthwise", ((2, 6, 6, 4), 3, 2)),
    ("batch_norm", ((2, 4, 3, 5),)),
    ("layer_norm", ((2, 4, 3, 5),)),
    ("conv_transpose", ((2, 4, 3, 5), 3, 4, 2, 1, 1)),
]


@pytest.mark.parametrize(("kind", "arguments"), LAYERS)
def test_layers_compute_the_same_in_every_way(kind, arguments):
    ways, args = getattr(layers, kind)(*arguments)
    ours, theirs = (jax.tree.leaves(jax.jit(ways[way])(*args)) for way in ("purecnn", "autodiff"))
    assert len(ours) == len(theirs)
    assert max(apart(a, b) for a, b in zip(ours, theirs, strict=True)) < 1e-5


def test_extremes_compare_values_before_times():
    lines = list(extremes.rows(1, windows=((3, 2),), large=(((1, 6, 6, 2), (3, 3, 2, 4)),)))
    assert [line.count("|") for line in lines] == [6] * 2


def test_extremes_refuse_other_values():
    ways = {"purecnn": lambda x: 1.001 * x, "lax": lambda x: x}
    with pytest.raises(AssertionError, match="apart by"):
        extremes.row("scaled", ways, (jnp.ones(3),), 1)


def test_a_gpu_row_at_a_tiny_size_goes_through_a_process_of_its_own_and_into_the_table(tmp_path):
    """Flags, result and table; torch is not installed here, which is one way's failure and not the row's."""
    row = gpu.run_row("lenet", "bfloat16", "deterministic", compiled=False, tiny=True)
    assert set(row["ways"]) == {"purecnn", "autodiff"}
    for found in row["ways"].values():
        assert found["ms"] > 0
        assert found["bytes"] > 0
        assert found["temporaries"] > 0
    assert gpu.losses_apart(row) == []
    rows = {"lenet bfloat16 normal": row, "lenet bfloat16 deterministic": row, "vgg16 float32 normal": {"failed": "no"}}
    text = gpu.table("a machine", rows)
    assert "- vgg16 float32 normal: no" in text
    assert text.count("| lenet") == 2


def test_dtypes_modes_and_ways_of_the_gpu_half_can_be_chosen(monkeypatch):
    asked = []
    monkeypatch.setattr(gpu, "run_row", lambda *row: asked.append(row) or {"failed": "not run"})
    assert gpu.main(["lenet"], True, True, None, ["float32"], ["deterministic"], ["autodiff"]) == 1
    assert asked == [("lenet", "float32", "deterministic", True, True, ["autodiff"])]


def test_the_steps_of_a_gpu_row_lose_alike_and_a_failure_is_one_ways(monkeypatch):
    def no_memory(net, dtype):
        raise MemoryError("none left")

    monkeypatch.setitem(gpu_row.BUILDERS, "torch compiled", no_memory)
    net = nets.gpu_net("convnext block", tiny=True)
    found = gpu_row.measure(net, "float32", ["purecnn", "autodiff", "flax nnx", "torch compiled"], 1, 0.0)
    assert found.pop("torch compiled") == {"failed": "MemoryError: none left"}
    assert all(way["ms"] > 0 for way in found.values())
    row = {"ways": found}
    assert gpu.losses_apart(row, 1e-4) == []
    found["autodiff"]["losses"][0] *= 1.1
    assert len(gpu.losses_apart(row)) == 1


def test_a_gpu_row_that_ends_its_process_says_so(monkeypatch):
    monkeypatch.setattr(gpu.sys, "executable", "false")
    assert gpu.run_row("lenet", "float32", "normal", False, True)["failed"].startswith("exit status 1")


@pytest.mark.parametrize("name", nets.GPU_NETS)
@pytest.mark.parametrize("tiny", [False, True], ids=["full", "tiny"])
def test_the_nets_of_the_gpu_half_fit_their_images(name, tiny):
    net = nets.gpu_net(name, tiny)
    params, x, _ = jax.eval_shape(lambda: example(net))
    ours = jax.eval_shape(lambda p, x: net.chain.apply(p, x, state=net.chain.init_state(net.shape)), params, x)
    assert (
        ours.shape == jax.eval_shape(lambda p, x: plain_logits(net, p, x), params, x).shape == (net.batch, net.classes)
    )
    assert nets.step_flops(net) > 0
