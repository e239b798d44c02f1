"""Convolutional networks as pure JAX functions, every backward rule derived by hand."""

import importlib
from typing import Any

import purecnn.startup  # noqa: F401

# isort: split
from purecnn import initializers, models
from purecnn.chain import Chain, backprop
from purecnn.conv1d import conv1d
from purecnn.layers.adaptive_avg_pool2d import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_bwd,
    adaptive_avg_pool2d_fwd,
)
from purecnn.layers.avg_pool2d import (
    avg_pool2d,
    avg_pool2d_bwd,
    avg_pool2d_fwd,
)
from purecnn.layers.batch_norm import (
    batch_norm,
    batch_norm_bwd,
    batch_norm_fwd,
)
from purecnn.layers.batch_norm_inference import (
    batch_norm_inference,
    batch_norm_inference_bwd,
    batch_norm_inference_fwd,
)
from purecnn.layers.concatenate import concatenate, concatenate_bwd, concatenate_fwd
from purecnn.layers.conv2d import conv2d, conv2d_bwd, conv2d_fwd
from purecnn.layers.conv_transpose2d import conv_transpose2d, conv_transpose2d_bwd, conv_transpose2d_fwd
from purecnn.layers.dense import dense, dense_bwd, dense_fwd
from purecnn.layers.drop_path import drop_path, drop_path_bwd, drop_path_fwd
from purecnn.layers.dropout import dropout, dropout_bwd, dropout_fwd
from purecnn.layers.flatten import flatten, flatten_bwd, flatten_fwd
from purecnn.layers.gelu import gelu, gelu_bwd, gelu_fwd
from purecnn.layers.global_avg_pool import global_avg_pool, global_avg_pool_bwd, global_avg_pool_fwd
from purecnn.layers.group_norm import group_norm, group_norm_bwd, group_norm_fwd
from purecnn.layers.hard_swish import hard_swish, hard_swish_bwd, hard_swish_fwd
from purecnn.layers.im2col import col2im, col2im_bwd, col2im_fwd, im2col, im2col_bwd, im2col_fwd
from purecnn.layers.layer_norm import layer_norm, layer_norm_bwd, layer_norm_fwd
from purecnn.layers.leaky_relu import leaky_relu, leaky_relu_bwd, leaky_relu_fwd
from purecnn.layers.local_response_norm import local_response_norm, local_response_norm_bwd, local_response_norm_fwd
from purecnn.layers.max_pool2d import max_pool2d, max_pool2d_bwd, max_pool2d_fwd
from purecnn.layers.relu import relu, relu_bwd, relu_fwd
from purecnn.layers.relu6 import relu6, relu6_bwd, relu6_fwd
from purecnn.layers.sigmoid import sigmoid, sigmoid_bwd, sigmoid_fwd
from purecnn.layers.silu import silu, silu_bwd, silu_fwd
from purecnn.layers.softmax import softmax, softmax_bwd, softmax_fwd
from purecnn.layers.tanh import tanh, tanh_bwd, tanh_fwd
from purecnn.layers.upsample2d import upsample2d, upsample2d_bwd, upsample2d_fwd
from purecnn.losses.softmax_cross_entropy import (
    softmax_cross_entropy,
    softmax_cross_entropy_bwd,
    softmax_cross_entropy_fwd,
)
from purecnn.losses.squared_error import squared_error, squared_error_bwd, squared_error_fwd
from purecnn.replacement import with_backward

__version__ = "0.2.0"

__all__ = [
    "Chain",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_bwd",
    "adaptive_avg_pool2d_fwd",
    "avg_pool2d",
    "avg_pool2d_bwd",
    "avg_pool2d_fwd",
    "backprop",
    "batch_norm",
    "batch_norm_bwd",
    "batch_norm_fwd",
    "batch_norm_inference",
    "batch_norm_inference_bwd",
    "batch_norm_inference_fwd",
    "col2im",
    "col2im_bwd",
    "col2im_fwd",
    "concatenate",
    "concatenate_bwd",
    "concatenate_fwd",
    "conv1d",
    "conv2d",
    "conv2d_bwd",
    "conv2d_fwd",
    "conv_transpose2d",
    "conv_transpose2d_bwd",
    "conv_transpose2d_fwd",
    "dense",
    "dense_bwd",
    "dense_fwd",
    "drop_path",
    "drop_path_bwd",
    "drop_path_fwd",
    "dropout",
    "dropout_bwd",
    "dropout_fwd",
    "flatten",
    "flatten_bwd",
    "flatten_fwd",
    "gelu",
    "gelu_bwd",
    "gelu_fwd",
    "global_avg_pool",
    "global_avg_pool_bwd",
    "global_avg_pool_fwd",
    "group_norm",
    "group_norm_bwd",
    "group_norm_fwd",
    "hard_swish",
    "hard_swish_bwd",
    "hard_swish_fwd",
    "im2col",
    "im2col_bwd",
    "im2col_fwd",
    "initializers",
    "layer_norm",
    "layer_norm_bwd",
    "layer_norm_fwd",
    "leaky_relu",
    "leaky_relu_bwd",
    "leaky_relu_fwd",
    "local_response_norm",
    "local_response_norm_bwd",
    "local_response_norm_fwd",
    "max_pool2d",
    "max_pool2d_bwd",
    "max_pool2d_fwd",
    "models",
    "relu",
    "relu6",
    "relu6_bwd",
    "relu6_fwd",
    "relu_bwd",
    "relu_fwd",
    "sigmoid",
    "sigmoid_bwd",
    "sigmoid_fwd",
    "silu",
    "silu_bwd",
    "silu_fwd",
    "softmax",
    "softmax_bwd",
    "softmax_cross_entropy",
    "softmax_cross_entropy_bwd",
    "softmax_cross_entropy_fwd",
    "softmax_fwd",
    "squared_error",
    "squared_error_bwd",
    "squared_error_fwd",
    "tanh",
    "tanh_bwd",
    "tanh_fwd",
    "upsample2d",
    "upsample2d_bwd",
    "upsample2d_fwd",
    "with_backward",
]


def __getattr__(name: str) -> Any:
    """Imports `purecnn.train`, `purecnn.data` and `purecnn.load` on first use: they need the extra "train"."""
    if name == "load":
        return importlib.import_module("purecnn.train.nets").load
    if name in ("train", "data"):
        return importlib.import_module(f"purecnn.{name}")
    raise AttributeError(f"module {__name__} has no attribute {name}")
