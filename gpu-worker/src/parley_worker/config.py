"""What the engine is told once, at its start. Plain data: no torch, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

GIB = 1024**3
CPU_CAPACITY, CUDA_CAPACITY = 16, 256


class Dtype(StrEnum):
    """The arithmetic of weights, activations and KV. AUTO: float32 on a CPU, bfloat16 on CUDA.

    INT8: weights and what they are multiplied with; the rest is float32 or, where that costs less, KV in float16.
    """

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


class ExecutorKind(StrEnum):
    """What computes the steps. NATIVE: our own kernels for CPUs; TORCH: torch, on any device. AUTO: the faster of those
    that there are for the device and the arithmetic."""

    AUTO = "auto"
    NATIVE = "native"
    TORCH = "torch"


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How to serve the checkpoint in `model`.

    capacity: answers made at once; None: 16 on a CPU, 256 on CUDA. kv_bytes: the memory of the KV cache in all.
    step_tokens: how many tokens one step computes at most, so that a long prompt does not stall the answers of others;
    None: as many as take a tenth of a second. threads: CPU threads of a step; None: as many as make it faster.
    speculation: whether answers may be drafted from what was said before, which changes their speed alone.
    start_timeout in seconds.
    """

    model: Path
    dtype: Dtype = Dtype.AUTO
    device: str = "auto"
    capacity: int | None = None
    kv_bytes: int = 2 * GIB
    step_tokens: int | None = None
    threads: int | None = None
    start_timeout: float = 300.0
    executor: ExecutorKind = ExecutorKind.AUTO
    speculation: bool = True
