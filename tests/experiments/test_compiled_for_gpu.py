"""Bytes are read from a program's text; programs for a GPU are compiled where JAX's CUDA plugin is installed."""

import importlib.util

import pytest

from experiments.compiled_for_gpu.traffic import Operation, operations, size

TEXT = """HloModule jit_step, is_scheduled=true

%fused (a: bf16[4,6]) -> f32[6] {
  ROOT %r = f32[6]{0} reduce(%a), to_apply=%add
}

ENTRY %main.1 (x.1: bf16[4,6], w.1: f32[2]) -> (bf16[4,6], f32[6]) {
  %x.1 = bf16[4,6]{1,0} parameter(0), sharding={replicated}
  %w.1 = f32[2]{0} parameter(1)
  %conv.1 = (bf16[4,6]{1,0}, u8[0]{0}) custom-call(%x.1, %w.1), custom_call_target="__cudnn$convForward"
  %cudnn-conv.2 = (bf16[4,6]{1,0}, u8[8]{0}) custom-call(%x.1, %w.1), custom_call_target="__cudnn$convForward"
  %get-tuple-element.3 = bf16[4,6]{1,0} get-tuple-element(%cudnn-conv.2), index=0
  %wrapped_slice.4 = bf16[1,6]{1,0} fusion(%get-tuple-element.3), kind=kLoop, calls=%slice
  %fusion.5 = (f32[6]{0}, pred[4,6]{1,0}) fusion(%get-tuple-element.3, %w.1), kind=kInput, calls=%fused
  ROOT %tuple.6 = (bf16[4,6]{1,0}, f32[6]{0}) tuple(%get-tuple-element.3, %fusion.5)
}
"""


def test_each_kernel_reads_its_operands_and_writes_its_results():
    assert list(operations(TEXT)) == [
        Operation("conv.1", 48 + 48 + 8, False),
        Operation("cudnn-conv.2", 48 + 8 + 48 + 8, True),
        Operation("wrapped_slice.4", 12 + 12, False),
        Operation("fusion.5", 24 + 24 + 48 + 8, False),
    ]


def test_the_size_of_a_type_is_that_of_its_arrays():
    assert size("(f32[2,3]{1,0}, bf16[5]{0}, pred[], /*index=3*/s64[2]{0})") == 24 + 10 + 1 + 16


@pytest.mark.skipif(importlib.util.find_spec("jax_cuda12_plugin") is None, reason="no CUDA plugin of JAX installed")
def test_a_layer_is_compiled_for_a_gpu():
    from experiments.compiled_for_gpu.run import LAYERS, both_passes, row

    _, moved, autodiff, *_ = row("gelu", both_passes, LAYERS["gelu"]).split("|")[1:]
    assert 0 < float(moved) <= float(autodiff)
