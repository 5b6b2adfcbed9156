"""Every kernel compiles to machine code for GPUs that are not here: no spilled registers, and shared memory for all."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import triton
import triton.backends.nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from parley_worker.cuda import attention, ops
from parley_worker.cuda.attention import PagedAttention, Tiling
from parley_worker.cuda.buffers import Layout
from parley_worker.engine.paged.cache import BlockCache

OBJDUMP = Path(triton.backends.nvidia.__file__).parent / "bin" / "cuobjdump"
# A block of an RTX card (compute capability 8.6, 8.9 and 12.0) gets no more; A100 and H100 have more.
SHARED_BYTES = 101_376
NAMES = {
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.int8: "*i8",
    torch.float8_e4m3fn: "*fp8e4nv",
}


@dataclass
class Compiler:
    """Stands for the launch of every kernel: compiles it as that launch would on a GPU of this compute capability."""

    capability: int
    folder: Path
    stacks: dict[str, int] = field(default_factory=dict)
    shared: dict[str, int] = field(default_factory=dict)
    assembly: dict[str, str] = field(default_factory=dict)

    def compile(self, kernel: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> None:
        names = kernel.arg_names
        values = dict(zip(names, args, strict=False)) | {name: options.pop(name) for name in names if name in options}
        constants = {p.name: values[p.name] for p in kernel.params if p.is_constexpr}
        signature = {name: "constexpr" if name in constants else _type(values[name]) for name in names}
        aligned = {
            (index,): [["tt.divisibility", 16]]
            for index, name in enumerate(names)
            if name not in constants and _is_aligned(values[name])
        }
        source = ASTSource(kernel, signature, constants, aligned)
        compiled = triton.compile(source, target=GPUTarget("cuda", self.capability, 32), options=options)
        self._measure(kernel.fn.__name__, compiled)

    def _measure(self, name: str, compiled: Any) -> None:
        cubin = self.folder / f"{name}.cubin"
        cubin.write_bytes(compiled.asm["cubin"])
        command = [str(OBJDUMP), "--dump-resource-usage", str(cubin)]
        usage = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = re.search(r"STACK:(\d+)", usage)
        assert found, usage
        self.stacks[name] = max(int(found[1]), self.stacks.get(name, 0))
        self.shared[name] = compiled.metadata.shared
        self.assembly[name] = compiled.asm["ptx"]


def _type(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return NAMES[value.dtype]
    return "fp32" if isinstance(value, float) else "i32"


def _is_aligned(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or (isinstance(value, int) and value % 16 == 0)


@pytest.fixture
def compiler(capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Compiler]:
    found = Compiler(capability, tmp_path)
    monkeypatch.setattr(JITFunction, "run", lambda kernel, *args, **options: found.compile(kernel, *args, **options))
    for module in (ops, attention):
        monkeypatch.setattr(module, "product_type", lambda rows: _product_type(rows))
    with triton.knobs.cache.scope():
        triton.knobs.cache.dir = str(tmp_path / "cache")
        yield found


def _product_type(rows: torch.Tensor) -> Any:
    return triton.language.float32 if rows.dtype is torch.float32 else triton.language.bfloat16


@pytest.mark.parametrize(
    ("capability", "dtype", "heads", "kv_heads", "head_dim", "window"),
    [
        (80, torch.bfloat16, 16, 8, 128, None),
        (90, torch.bfloat16, 16, 8, 128, None),
        (90, torch.bfloat16, 14, 2, 64, 512),
        (90, torch.bfloat16, 32, 32, 80, None),
        (90, torch.float32, 16, 8, 128, None),
    ],
    ids=["ampere, qwen3-0.6b", "hopper, qwen3-0.6b", "qwen2-0.5b, sliding", "no groups", "float32"],
)
def test_attention(
    compiler: Compiler, dtype: torch.dtype, heads: int, kv_heads: int, head_dim: int, window: int | None
) -> None:
    keys = torch.zeros(1, 4, 16, kv_heads, head_dim, dtype=dtype)
    cache = BlockCache(keys, torch.zeros_like(keys), (window,))
    paged = PagedAttention(cache, heads, 8, Tiling.sized(528, dtype, compiler.capability // 10))
    inputs = Layout(16, 2).view(torch.zeros(400, dtype=torch.int32))
    for singles in (1, 8):
        paged.plan(inputs, singles)
    paged.attend(0, torch.zeros(16, heads, head_dim, dtype=dtype), inputs, 8)
    assert compiler.stacks == dict.fromkeys(["plan_splits", "decode_splits", "combine_splits", "prefill_tiles"], 0)
    assert max(compiler.shared.values()) <= SHARED_BYTES
    if dtype is torch.bfloat16:
        on_tensor_cores = "wgmma" if compiler.capability == 90 else "mma.sync"
        assert on_tensor_cores in compiler.assembly["prefill_tiles"]


@pytest.mark.parametrize(("capability", "dtype"), [(80, torch.bfloat16), (90, torch.bfloat16), (90, torch.float32)])
def test_rows(compiler: Compiler, dtype: torch.dtype) -> None:
    rows, ids = torch.zeros(2, 1024, dtype=dtype), torch.zeros(2, dtype=torch.int32)
    ops.embed(ids, ids.long(), torch.zeros(9, 1024, dtype=dtype), dtype)
    ops.normalize(rows, rows.clone(), rows[0], 1e-6)
    ops.gate(torch.zeros(2, 6144, dtype=dtype))
    keys = torch.zeros(2, 16, 8, 128, dtype=dtype)
    turns = (torch.zeros(2, 128), torch.zeros(2, 128))
    norm = torch.zeros(24, 128, dtype=dtype)
    ops.place(torch.zeros(2, 4096, dtype=dtype), norm, turns, ids, keys, keys.clone(), 16, 1e-6)
    assert compiler.stacks == dict.fromkeys(["embed_tokens", "add_normalize", "gate_rows", "place_heads"], 0)


# No GPU before 8.9 converts e4m3.
@pytest.mark.parametrize(
    ("capability", "kind"), [(80, torch.int8), (90, torch.int8), (89, torch.float8_e4m3fn), (90, torch.float8_e4m3fn)]
)
def test_narrow_weights(compiler: Compiler, kind: torch.dtype) -> None:
    rows = torch.zeros(1, 1024, dtype=torch.bfloat16)
    ops.multiply(rows, torch.zeros(4096, 1024, dtype=kind), torch.zeros(4096), None)
    assert compiler.stacks == {"multiply_narrow": 0}
    assert compiler.shared["multiply_narrow"] <= SHARED_BYTES
