"""What the benchmark compares computes the same thing."""

import time
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
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
from tests.sampling import one_in
from verify.running import quickly

# Plain networks add biases without reshaping them.
pytestmark = pytest.mark.usefixtures("little_compilation", "a_users_jax")


# Every operation once, in every form that a net of the benchmark has it.
EVERY = nets.net(
    "every",
    (
        *(*specs.conv_norm(4, 3, 1, 2), specs.RELU, specs.NORM, specs.Pool(3, 2, 1)),
        specs.Residual(
            (*specs.conv_norm(4, 3, 1, groups=4), specs.RELU6, *specs.conv_norm(6, 1)), specs.conv_norm(6, 1)
        ),
        specs.Residual(
            (specs.Conv(6, 3, 1, groups=6), specs.LAYER_NORM, specs.Conv(8, 1), specs.GELU, specs.Conv(6, 1))
        ),
        *(specs.GLOBAL_POOL, specs.DROPOUT, specs.Dense(5)),
    ),
    (12, 12, 3),
    4,
)


def drawn(net, dtype, batch=4):
    """(parameters, x, labels): every array from NumPy, for JAX would compile a program for each shape."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: net.chain.init(jax.random.key(0), net.shape))
    # Biases and scales so large that relu6 meets its upper kink.
    scales = {1: 4.0, 2: 0.25, 4: 0.06}
    params = jax.tree.map(lambda p: jnp.asarray(scales[p.ndim] * rng.normal(size=p.shape), dtype), shapes)
    return params, jnp.asarray(rng.normal(size=(batch, *net.shape)), dtype), jnp.arange(batch) % net.classes


@pytest.mark.parametrize("net", [NETS["lenet"], EVERY], ids=["lenet", "every operation"])
def test_the_plain_net_has_our_loss_and_gradient(net):
    """In float64, where no two entries of a pool's window are equal but for rounding."""
    with jax.enable_x64(True):
        params, x, labels = drawn(net, jnp.float64)
        state = net.chain.init_state(net.shape, jnp.float64)

        @quickly
        def both(p):
            ours = purecnn.backprop(net.chain, p, x, labels, state=state, train=True, key=jax.random.key(0))
            return ours, jax.value_and_grad(lambda p: plain_loss(net, p, x, labels))(p)

        ours, theirs = both(params)
        # A bias in front of a normalisation has no gradient but rounding: hence the norm of all, not of each.
        size = max(float(jnp.linalg.norm(b)) for b in jax.tree.leaves(theirs))
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            assert a.dtype == b.dtype == jnp.float64
            assert float(jnp.linalg.norm(a - b)) < 1e-12 * size


SHORT = replace(NETS["resnet20"], spec=specs.resnet_cifar(1), chain=purecnn.models.resnet_cifar())


@pytest.mark.parametrize("net", [NETS["cifar_cnn"], NETS["alexnet"], SHORT], ids=["cifar_cnn", "alexnet", "resnet"])
def test_a_model_of_ours_has_the_layers_of_its_spec(net):
    """Units, parameters, FLOPs: strides and paddings too."""
    rows, own = (chain.summary(net.shape).rows for chain in (net.chain, specs.chain("spec", net.spec)))
    for row, from_spec in zip(rows, own, strict=True):
        assert replace(row, layer="", residual_bytes=0) == replace(from_spec, layer="", residual_bytes=0)


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_the_layers_of_a_deep_plain_net_are_the_models(name):
    net = NETS[name]
    assert len(net.spec) == len(net.chain.layers)
    x = jax.ShapeDtypeStruct((1, *net.shape), "float32")
    params = jax.eval_shape(lambda: net.chain.init(jax.random.key(0), net.shape))
    assert jax.eval_shape(lambda p, x: plain_logits(net, p, x), params, x).shape == (1, net.classes)


@pytest.mark.slow
def test_every_kernel_is_compared_and_timed_beside_the_page(monkeypatch):
    monkeypatch.setitem(layers.CONVS, "tiny", ((2, 4, 4, 8), (3, 3, 8, 8), 1, 1, True))
    lines = [kernels.row("tiny", equation, rounds=1, turn_s=0.0) for equation in kernels.EQUATIONS]
    assert ["banded" in lines[0], "(auto)" in lines[1], "wgrad_chunked" in lines[2]] == [True] * 3
    assert lines[2].endswith("(auto: the page) |")


def test_small_weight_cotangents_are_compared_and_timed():
    assert small_w_bar.row((2, 4, 8, 8, 3, 1, 1), rounds=1, turn_s=0.0).endswith("| page |")
    assert small_w_bar.row((2, 4, 8, 8, 3, 1, 2), rounds=1, turn_s=0.0).endswith("|  |")


@pytest.mark.slow
def test_the_net_of_flax_has_the_plain_output():
    params, x, _ = drawn(EVERY, jnp.float32)
    assert apart(with_flax.forward(EVERY, params, x)(), quickly(lambda: plain_logits(EVERY, params, x))()) < 1e-4


def test_convolutions_alone_give_the_plain_output():
    net = nets.net("vgg", specs.convolutions(specs.vgg((4, 1), (6, 2))), (8, 8, 3), 1)
    functions, args = with_jax.forwards(net)
    assert functions["purecnn"](*args).shape == (1, 2, 2, 6)
    assert apart(functions["purecnn"](*args), functions["autodiff"](*args)) < 1e-6


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


@pytest.mark.slow
def test_extremes_compare_values_before_times():
    lines = list(extremes.rows(1, windows=((3, 2),), large=(((1, 6, 6, 2), (3, 3, 2, 4)),)))
    assert [line.count("|") for line in lines] == [6] * 2


def test_extremes_refuse_other_values():
    ways = {"purecnn": lambda x: 1.001 * x, "lax": lambda x: x}
    with pytest.raises(AssertionError, match="apart by"):
        extremes.row("scaled", ways, (jnp.ones(3),), 1)


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_steps_of_a_gpu_row_lose_alike_and_a_failure_is_one_ways(monkeypatch):
    def no_memory(net, dtype):
        raise MemoryError("none left")

    monkeypatch.setitem(gpu_row.BUILDERS, "torch compiled", no_memory)
    net = nets.gpu_net("lenet", tiny=True)
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


@pytest.mark.parametrize("name", one_in(3, nets.GPU_NETS))
def test_the_nets_of_the_gpu_half_fit_their_images(name):
    """Those of full size as their summary says, which counts a step's FLOPs; the tiny ones in both forms."""
    full, tiny = (nets.gpu_net(name, tiny) for tiny in (False, True))
    assert nets.step_flops(full) > 0
    params, x, _ = jax.eval_shape(lambda: example(tiny))
    state = tiny.chain.init_state(tiny.shape)
    ours = jax.eval_shape(lambda p, x: tiny.chain.apply(p, x, state=state), params, x)
    plain = jax.eval_shape(lambda p, x: plain_logits(tiny, p, x), params, x)
    assert ours.shape == plain.shape == (tiny.batch, tiny.classes)
