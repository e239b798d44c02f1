"""Public functions of JAX, Optax, Flax and Equinox, each with one ordinary call, as somebody would try them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.scipy import linalg, special, stats

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def unit(*shape):
    return RNG.uniform(0.1, 0.9, shape).astype(np.float32)


def positive(*shape):
    return (np.abs(RNG.standard_normal(shape)) + 0.3).astype(np.float32)


def probabilities(*shape):
    p = np.exp(RNG.standard_normal(shape))
    return (p / p.sum(-1, keepdims=True)).astype(np.float32)


X, Y, POS, LABELS = normal(4, 6), normal(4, 6), positive(4, 6), np.array([0, 2, 5, 1], np.int32)
SIGNS = np.sign(normal(4, 6))
A = normal(4, 4)
S = (A @ A.T / 4 + np.eye(4)).astype(np.float32)
WELL = (A + 4 * np.eye(4)).astype(np.float32)
LOWER = np.tril(WELL)
ONE_HOT = np.eye(6, dtype=np.float32)[LABELS]


def named(module, prefix: str, names: str, *args) -> dict[str, tuple]:
    return {f"{prefix}.{name}": (getattr(module, name), *args) for name in names.split()}


def one_of_the_largest(x):
    return jax.nn.one_hot(jnp.argmax(x), x.size)


ACTIVATIONS = """relu relu6 elu selu celu gelu silu mish softplus sparse_plus soft_sign sigmoid log_sigmoid hard_sigmoid
hard_silu hard_tanh leaky_relu squareplus sparse_sigmoid glu softmax log_softmax logsumexp standardize"""
ELEMENTWISE = """sin cos tanh sinh arcsinh exp expm1 exp2 log1p square abs sinc cbrt arctan fabs"""
REDUCTIONS = """sum mean var std max min prod cumsum cumprod sort median ptp nansum trapezoid diff"""
SPECIAL = "gammaln digamma i0 i0e i1 i1e ndtr log_ndtr erf erfc expit log_softmax"
CALLS: dict[str, tuple] = {
    **named(jax.nn, "jax.nn", ACTIVATIONS, X),
    "jax.nn.gelu exact": (partial(jax.nn.gelu, approximate=False), X),
    "jax.nn.dot_product_attention": (
        jax.nn.dot_product_attention,
        normal(2, 5, 2, 4),
        normal(2, 5, 2, 4),
        normal(2, 5, 2, 4),
    ),
    **named(jnp, "jnp", ELEMENTWISE, X),
    **named(jnp, "jnp", "log sqrt reciprocal log2 log10", POS),
    **named(jnp, "jnp", "arcsin arccos arctanh", unit(4, 6) - np.float32(0.5)),
    **named(jnp, "jnp", "logaddexp logaddexp2 maximum minimum multiply subtract arctan2 hypot outer", X, Y),
    **named(jnp, "jnp", "divide power float_power", POS, positive(4, 6)),
    **named(jnp, "jnp", REDUCTIONS, X),
    "jnp.quantile": (lambda x: jnp.quantile(x, 0.3, axis=1), X),
    "jnp.clip": (lambda x: jnp.clip(x, -0.5, 0.7), X),
    "jnp.interp": (jnp.interp, unit(7), np.linspace(0, 1, 5, dtype=np.float32), normal(5)),
    "jnp.convolve": (jnp.convolve, normal(9), normal(4)),
    "jnp.correlate": (jnp.correlate, normal(9), normal(4)),
    "jnp.cross": (jnp.cross, normal(5, 3), normal(5, 3)),
    "jnp.kron": (jnp.kron, normal(2, 3), normal(3, 2)),
    "jnp.einsum": (lambda a, b: jnp.einsum("bik,bkj->bij", a, b), normal(2, 3, 4), normal(2, 4, 5)),
    "jnp.take_along_axis": (lambda x, i: jnp.take_along_axis(x, i, axis=1), X, LABELS[:, None]),
    "jnp.fft.rfft, absolute": (lambda x: jnp.abs(jnp.fft.rfft(x)), normal(3, 8)),
    "jnp.fft.irfft of rfft": (
        lambda x, k: jnp.fft.irfft(jnp.fft.rfft(x) * jnp.fft.rfft(k), 8),
        normal(3, 8),
        normal(8),
    ),
    "jnp.unwrap": (jnp.unwrap, normal(9)),
    "jnp.cov": (jnp.cov, X),
    "jnp.corrcoef": (jnp.corrcoef, X),
    "jnp.linalg.norm": (jnp.linalg.norm, X),
    **named(jnp.linalg, "jnp.linalg", "inv det pinv", WELL),
    "jnp.linalg.slogdet": (lambda a: jnp.linalg.slogdet(a)[1], WELL),
    "jnp.linalg.cholesky": (jnp.linalg.cholesky, S),
    "jnp.linalg.eigvalsh": (jnp.linalg.eigvalsh, S),
    "jnp.linalg.eigh": (lambda a: jnp.abs(jnp.linalg.eigh(a)[1]), S),
    "jnp.linalg.svd": (lambda a: jnp.linalg.svd(a, compute_uv=False), normal(4, 3)),
    "jnp.linalg.qr": (lambda a: jnp.linalg.qr(a)[1], normal(4, 3)),
    "jnp.linalg.solve": (jnp.linalg.solve, WELL, normal(4, 2)),
    "jnp.linalg.matrix_power": (lambda a: jnp.linalg.matrix_power(a, 3), A),
    "jax.scipy.linalg.expm": (linalg.expm, A),
    "jax.scipy.linalg.solve_triangular": (partial(linalg.solve_triangular, lower=True), LOWER, normal(4, 2)),
    "jax.scipy.linalg.cho_solve": (lambda s, b: linalg.cho_solve(linalg.cho_factor(s, lower=True), b), S, normal(4)),
    **named(special, "jax.scipy.special", SPECIAL, POS),
    **named(special, "jax.scipy.special", "logit ndtri entr erfinv", unit(4, 6)),
    **named(special, "jax.scipy.special", "xlogy xlog1py rel_entr kl_div betaln", POS, unit(4, 6)),
    "jax.scipy.special.gammainc, in x": (lambda x: special.gammainc(2.5, x), POS),
    "jax.scipy.special.polygamma": (lambda x: special.polygamma(1, x), POS),
    "jax.scipy.special.zeta": (lambda x: special.zeta(x, 1.0), POS + np.float32(1.5)),
    "jax.scipy.special.multigammaln": (lambda a: special.multigammaln(a, 2), POS + np.float32(1)),
    "jax.scipy.special.expi": (special.expi, POS),
    "norm.logpdf": (stats.norm.logpdf, X, Y, POS),
    "norm.logcdf": (stats.norm.logcdf, X),
    "t.logpdf": (stats.t.logpdf, X, POS),
    "gamma.logpdf": (stats.gamma.logpdf, POS, positive(4, 6)),
    "beta.logpdf": (stats.beta.logpdf, unit(4, 6), POS, positive(4, 6)),
    "cauchy.logpdf": (stats.cauchy.logpdf, X),
    "laplace.logpdf": (stats.laplace.logpdf, X, Y, POS),
    "logistic.logpdf": (stats.logistic.logpdf, X),
    "poisson.logpmf": (lambda mu: stats.poisson.logpmf(LABELS[:, None], mu), POS),
    "multivariate_normal.logpdf": (stats.multivariate_normal.logpdf, normal(3, 4), normal(4), S),
    "dirichlet.logpdf": (partial(stats.dirichlet.logpdf, probabilities(6)), positive(6)),
    "truncnorm.logpdf": (lambda x: stats.truncnorm.logpdf(x, -2.0, 2.0), unit(6)),
    "lax.conv": (lambda x, w: lax.conv(x, w, (2, 2), "SAME"), normal(2, 3, 7, 6), normal(4, 3, 3, 3)),
    "lax.conv_transpose": (
        lambda x, w: lax.conv_transpose(x, w, (2, 2), "SAME"),
        normal(2, 5, 4, 3),
        normal(3, 3, 3, 4),
    ),
    "lax.reduce_window max": (
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
        normal(2, 6, 6, 3),
    ),
    "lax.associative_scan": (lambda x: lax.associative_scan(jnp.multiply, x), X),
    "lax.cumlogsumexp": (lambda x: lax.cumlogsumexp(x, axis=1), X),
    "lax.cummax": (lambda x: lax.cummax(x, axis=1), X),
    "lax.top_k": (lambda x: lax.top_k(x, 3)[0], X),
    "lax.rsqrt": (lax.rsqrt, POS),
    "lax.custom_root": (lambda a: lax.custom_root(lambda x: x * x * x - a, a / a, _newton, _one_by_one), POS),
    "lax.scan, a recurrence": (
        lambda w, x: lax.scan(lambda h, v: (jnp.tanh(w @ h + v),) * 2, x[0] * 0, x)[1],
        0.3 * A,
        normal(7, 4),
    ),
    "conjugate gradients": (lambda m, b: jax.scipy.sparse.linalg.cg(m, b)[0], S, normal(4)),
    "map_coordinates": (lambda x, c: jax.scipy.ndimage.map_coordinates(x, [c, c[::-1]], 1), normal(6, 6), 4 * unit(5)),
    "jax.image.resize": (lambda x: jax.image.resize(x, (1, 5, 7, 2), "bilinear"), normal(1, 8, 8, 2)),
    **named(optax.losses, "optax", "l2_loss huber_loss log_cosh squared_error cosine_similarity cosine_distance", X, Y),
    **named(
        optax.losses,
        "optax",
        "softmax_cross_entropy_with_integer_labels multiclass_hinge_loss multiclass_perceptron_loss "
        "multiclass_sparsemax_loss",
        X,
        LABELS,
    ),
    **named(optax.losses, "optax", "hinge_loss perceptron_loss", X, SIGNS),
    **named(
        optax.losses, "optax", "sigmoid_binary_cross_entropy sigmoid_focal_loss", X, (SIGNS > 0).astype(np.float32)
    ),
    **named(optax.losses, "optax", "softmax_cross_entropy poly_loss_cross_entropy", X, ONE_HOT),
    "optax.sparsemax_loss": (optax.losses.sparsemax_loss, X[0], (X[0] > 0).astype(np.float32)),
    "optax.kl_divergence": (optax.losses.kl_divergence, np.log(probabilities(4, 6)), probabilities(4, 6)),
    "optax.kl_divergence_with_log_targets": (
        optax.losses.kl_divergence_with_log_targets,
        np.log(probabilities(4, 6)),
        np.log(probabilities(4, 6)),
    ),
    "optax.convex_kl_divergence": (optax.losses.convex_kl_divergence, np.log(probabilities(4, 6)), probabilities(4, 6)),
    "optax.smooth_labels": (lambda t: optax.losses.smooth_labels(t, 0.1), ONE_HOT),
    "optax.triplet_margin_loss": (optax.losses.triplet_margin_loss, X, Y, normal(4, 6)),
    "optax.ranking_softmax_loss": (optax.losses.ranking_softmax_loss, X, unit(4, 6)),
    "optax.ctc_loss": (
        lambda x: optax.losses.ctc_loss(
            x, np.zeros((2, 7), np.float32), np.array([[1, 2], [3, 1]]), np.zeros((2, 2), np.float32)
        ),
        normal(2, 7, 5),
    ),
    "optax.safe_norm": (lambda x: optax.safe_norm(x, 1e-3), X),
    "optax.safe_root_mean_squares": (lambda x: optax.safe_root_mean_squares(x, 1e-3), X),
    "optax.global_norm": (lambda x, y: optax.global_norm([x, y]), X, Y),
    **named(
        optax.projections,
        "optax",
        "projection_simplex projection_non_negative projection_l2_ball projection_l1_ball",
        X[0],
    ),
    "optax.make_fenchel_young_loss": (optax.losses.make_fenchel_young_loss(jax.nn.logsumexp), X[0], unit(6)),
    "optax.make_perturbed_fun": (
        lambda x, key: optax.perturbations.make_perturbed_fun(one_of_the_largest, num_samples=8)(key, x),
        X[0] / 10,
        jax.random.key(0),
    ),
}


def _newton(f, x):
    return lax.fori_loop(0, 30, lambda _, x: x - f(x) / (3 * x * x), x)


def _one_by_one(linear, y):
    return y / linear(jnp.ones_like(y))
