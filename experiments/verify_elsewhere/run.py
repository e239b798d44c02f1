"""Rules that nobody here wrote: what `verify` says of the hand-written derivatives in JAX, Optax and Flax.

Run from the repository: `python -m experiments.verify_elsewhere.run`. One line per function, then the full report of
each that is not called right. No reference is given: the rules are taken out, and what is left is differentiated.
Flax is left out, with a line that says so, where it is not installed.
"""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import optax

import verify


def normal(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def unit(*shape):
    return np.random.default_rng(1).uniform(0.1, 0.9, shape).astype(np.float32)


def one_of_the_largest(x):
    return jax.nn.one_hot(jnp.argmax(x), x.size)


X, L = normal(4, 6), np.array([0, 2, 5, 1], np.int32)
S = np.eye(3, dtype=np.float32) * 3 + normal(3, 3) @ normal(3, 3).T / 9
CALLS = {
    "jax.nn.relu": (jax.nn.relu, X),
    "jax.nn.relu6": (jax.nn.relu6, X),
    "jax.nn.silu": (jax.nn.silu, X),
    "jax.nn.log_sigmoid": (jax.nn.log_sigmoid, X),
    "jax.nn.softmax": (jax.nn.softmax, X),
    "jax.nn.log_softmax": (jax.nn.log_softmax, X),
    "jax.nn.logsumexp": (jax.nn.logsumexp, X),
    "jax.nn.gelu": (jax.nn.gelu, X),
    "jax.numpy.logaddexp": (jnp.logaddexp, X, X[::-1]),
    "jax.numpy.logaddexp2": (jnp.logaddexp2, X, X[::-1]),
    "jax.numpy.sinc": (jnp.sinc, X),
    "jax.numpy.linalg.norm": (jnp.linalg.norm, X),
    "jax.numpy.linalg.det": (jnp.linalg.det, S),
    "jax.numpy.linalg.solve": (jnp.linalg.solve, S, normal(3, 2)),
    "jax.scipy.special.xlogy": (jax.scipy.special.xlogy, unit(4, 6), unit(4, 6)),
    "jax.scipy.special.entr": (jax.scipy.special.entr, unit(4, 6)),
    "jax.scipy.special.gammaln": (jax.scipy.special.gammaln, unit(4, 6)),
    "optax softmax_cross_entropy_with_integer_labels": (optax.softmax_cross_entropy_with_integer_labels, X, L),
    "optax sigmoid_binary_cross_entropy": (optax.sigmoid_binary_cross_entropy, X, (X > 0).astype(np.float32)),
    "optax huber_loss": (optax.huber_loss, X, X[::-1]),
    "optax safe_norm": (lambda x: optax.safe_norm(x, 1e-3), X),
    "optax safe_root_mean_squares": (lambda x: optax.safe_root_mean_squares(x, 1e-3), X),
    "optax sparsemax_loss": (optax.losses.sparsemax_loss, X[0], (X[0] > 0).astype(np.float32)),
    "optax multiclass_sparsemax_loss": (optax.losses.multiclass_sparsemax_loss, X, L),
    "optax projection_simplex": (optax.projections.projection_simplex, X[0]),
    "optax make_perturbed_fun": (
        lambda x, key: optax.perturbations.make_perturbed_fun(one_of_the_largest, num_samples=8)(key, x),
        X[0] / 10,
        jax.random.key(0),
    ),
    "optax make_fenchel_young_loss": (optax.losses.make_fenchel_young_loss(jax.nn.logsumexp), X[0], unit(6)),
}


def of_flax() -> dict[str, tuple]:
    from flax.linen import fp8_ops

    scale, history = np.ones(1, np.float32), np.zeros(16, np.float32)
    eight_bits = (jnp.float32, jnp.float8_e4m3fn)
    last = (((1,), (0,)), ((), ()))
    return {
        "flax in_qdq": (lambda x: fp8_ops.in_qdq(*eight_bits, x, scale, history), X),
        "flax out_qdq": (lambda x: fp8_ops.out_qdq(*eight_bits, x, scale, history), X),
        "flax dot_general_with_precision": (lambda a, b: fp8_ops.dot_general_with_precision(a, b, last), X, X.T.copy()),
    }


def main():
    if importlib.util.find_spec("flax"):
        CALLS.update(of_flax())
    else:
        print("flax is not installed: its rules are left out")
    reports = {name: verify.check(function, *args) for name, (function, *args) in CALLS.items()}
    for name, report in reports.items():
        said = report.failures[0] if report.failures else None
        words = f"{said.check}, {said.pattern}, on the call: {said.case}" if said else report.because
        print(f"{name}: {report.verdict}" + (f" ({words})" if words else ""))
    for name, report in reports.items():
        if not report.ok:
            print(f"\n{name}\n{report}")


if __name__ == "__main__":
    main()
