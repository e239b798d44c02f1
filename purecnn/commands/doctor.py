"""`purecnn doctor`: what computes here, and whether it computes right."""

from __future__ import annotations

import os
from dataclasses import dataclass

from purecnn.backend import describe_hardware


@dataclass(frozen=True)
class Doctor:
    """Say what computes here (versions, devices, flags), and try whether it computes right."""


def run(command: Doctor) -> int:
    import jax
    from jaxlib.version import __version__ as jaxlib_version

    from verify.oracle.canary import canaries

    print(f"hardware: {describe_hardware()}, jaxlib {jaxlib_version}")
    print(f"devices: {', '.join(str(device) for device in jax.devices())}")
    print(f"XLA_FLAGS: {os.environ.get('XLA_FLAGS') or 'none'}")
    for canary in canaries():
        print(canary)
    if all(canary.ok for canary in canaries()):
        print("this backend computes correctly")
        return 0
    print("this backend computes WRONG numbers; purecnn's other commands set the flag themselves, your programs must")
    return 1
