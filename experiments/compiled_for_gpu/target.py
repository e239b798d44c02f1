"""Programs compiled for a GPU that this machine lacks: XLA needs its description alone, and the CUDA plugin of JAX.

    pip install "jax[cuda12]"

Without a GPU XLA measures nothing, so that it takes its own defaults for the algorithms of cuDNN and the tiles of
products. What is fused, and what goes through memory, is decided by a model of the GPU in both cases.
"""

import functools
import os
from typing import Any

os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")  # of a driver and a device
os.environ.setdefault("JAX_PLATFORMS", "cpu,cuda")

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

H200 = """
gpu_device_info {
  cuda_compute_capability { major: 9 minor: 0 }
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  memory_bandwidth: 4800000000000
  device_memory_size: 150754820096
  l2_cache_size: 52428800
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  registers_per_block_limit: 65536
  registers_per_core_limit: 65536
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  threads_per_warp: 32
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 8 }
runtime_version { major: 12 minor: 9 }
device_description_str: "NVIDIA H200"
"""


@functools.cache
def one_gpu() -> NamedSharding:
    topology = topologies.get_topology_desc("", "cuda", target_config=H200, topology="1x1x1")
    return NamedSharding(Mesh(np.array(topology.devices[:1]), ("gpu",)), PartitionSpec())


def compiled(function: Any, *arguments: Any) -> Any:
    """`function`, jitted or not, for arguments like these, which may be shapes alone."""
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=one_gpu()), arguments)
    jitted = function if hasattr(function, "trace") else jax.jit(function)
    return jitted.trace(*shapes).lower(lowering_platforms=("cuda",)).compile()
