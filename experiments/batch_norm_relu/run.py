"""Does one rule for batch normalisation, addition and ReLU save enough?

    python -m experiments.batch_norm_relu.run [--quick] [--only NET …]

A step of each net with the library's three rules and with the one, after their losses and gradients have been compared:
residuals, temporaries, bytes accessed as XLA counts them, and time, in turn in one process.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import jax

import purecnn
from experiments.batch_norm_relu.rule import layers, parameters
from experiments.benchmark import specs, with_jax
from experiments.benchmark.measure import taking_turns
from experiments.benchmark.memory import residual_bytes
from experiments.benchmark.nets import NETS, Net, example, net
from experiments.comparing import largest_difference
from purecnn.backend import describe_hardware, keep_freed_memory
from purecnn.chain import Chain, backprop

THREE, ONE = "three rules", "one rule"
CASES = {  # and whether it is timed
    "resnet20": (NETS["resnet20"], True),
    "resnet50 blocks": (NETS["resnet50 blocks"], True),
    "resnet50": (net("resnet50", specs.resnet50(), (96, 96, 3), 8), False),
}


def merged(plain: Net) -> Net:
    return replace(plain, chain=Chain(f"{plain.chain.name}_merged", layers(plain.spec)))


def gradients(of: Net, params):
    _, x, labels = example(of)
    state = of.chain.init_state(of.shape)
    return jax.jit(lambda p: backprop(of.chain, p, x, labels, state=state, train=True))(params)


def apart(plain: Net, one: Net) -> float:
    params = example(plain)[0]
    loss, bars = gradients(plain, params)[:2]
    loss_one, bars_one = gradients(one, parameters(plain.spec, params))[:2]
    return max(largest_difference(loss_one, loss), largest_difference(bars_one, parameters(plain.spec, bars)))


def kept_bytes(of: Net) -> int:
    def loss(params, x, labels):
        logits = of.chain.apply(params, x, state=of.chain.init_state(of.shape), train=True)
        return purecnn.softmax_cross_entropy(logits, labels).mean()

    return residual_bytes(loss, *jax.eval_shape(lambda: example(of)))


def compare(plain: Net, rounds: int) -> dict:
    nets = {THREE: plain, ONE: merged(plain)}
    difference = apart(*nets.values())
    assert difference < 1e-2, f"{plain.chain.name}: gradients are apart by {difference:.1e}"
    ways = {name: with_jax.purecnn_step(each) for name, each in nets.items()}
    result: dict = {name: {"residuals_mb": round(kept_bytes(each) / 1e6, 2)} for name, each in nets.items()}
    for name, way in ways.items():
        result[name] |= {f"{what}_mb": round(count / 1e6, 2) for what, count in way.compile().items()}
    if rounds:
        timed = taking_turns(ways, rounds, 0.3, base=THREE)
        for name in ways:
            result[name] |= {"ms": round(timed[name].median_ms, 2), "of_three_rules": round(timed[name].ratio or 0, 3)}
    return {"gradients_apart": float(f"{difference:.1e}"), **result}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny net, nothing written")
    parser.add_argument("--only", nargs="*", default=list(CASES), help="some of the nets; the others' results stay")
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    keep_freed_memory()
    if options.quick:
        tiny = net("tiny", specs.resnet_cifar(1, (4, 8)), (8, 8, 3), 4)
        print(json.dumps(compare(tiny, 1), indent=1))
        return
    where = Path(__file__).parent / "results" / f"{jax.default_backend()}.json"
    result = json.loads(where.read_text(encoding="utf-8")) if where.exists() else {}
    result |= {"hardware": describe_hardware(), "jax": jax.__version__}
    for name in options.only:
        plain, timed = CASES[name]
        result[name] = compare(plain, options.rounds if timed else 0)
        print(name, json.dumps(result[name], indent=1), flush=True)
    where.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
