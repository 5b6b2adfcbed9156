"""How fast the native library multiplies, beside the read bandwidth of this machine and beside torch, in one run.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/gemm.py [--threads 1 2] [--seconds 0.3] [--library avx2]

The matrices are those of a 0.6 B Qwen3. For few rows: GB/s of weights and their share of the read bandwidth; weights
come from memory, because as many copies take turns as no cache holds. For many rows: GFLOP/s and the ratio to torch.mm
of float32, or to torch._int_mm with int8; quantizing the rows is part of neither number. The best of all runs counts:
what else the machine does slows every run, and speeds up none.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from bench.engine.limit import bandwidth
from torch import Tensor

from parley_worker.native.library import Format, Library, Matrix
from parley_worker.native.processor import supported
from parley_worker.testing.products import Products

SHAPES = {"qkv": (1024, 4096), "gate_up": (1024, 6144), "down": (3072, 1024), "head": (1024, 151_936)}
FEW, MANY = (1, 4, 8, 16), (64, 256, 512)
TYPES = {
    Format.F32: torch.float32,
    Format.BF16: torch.bfloat16,
    Format.F16: torch.float16,
    Format.INT8: torch.float32,
}
COLD_BYTES = 192 << 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, nargs="+", default=[1, torch.get_num_threads()])
    parser.add_argument("--seconds", type=float, default=0.3, help="for each number")
    parser.add_argument("--library", choices=[variant.name for variant in supported()], default=supported()[0].name)
    arguments = parser.parse_args()
    library = Library(next(variant for variant in supported() if variant.name == arguments.library))
    for threads in arguments.threads:
        products = Products(library, threads)
        torch.set_num_threads(threads)
        limit = bandwidth(threads).best
        print(f"\n{library.variant.name}, {threads} threads: memory is read at {limit:.1f} GB/s")
        for name, shape in SHAPES.items():
            compare(products, name, shape, limit, arguments.seconds)


def compare(products: Products, name: str, shape: tuple[int, int], limit: float, seconds: float) -> None:
    inputs, outputs = shape
    weights = torch.randn(outputs, inputs)
    many = MANY if outputs < 100_000 else MANY[:1]  # the head is wanted for few rows only
    of_torch = {integer: [time_torch(weights, count, seconds, integer) for count in many] for integer in (False, True)}
    print(f"{name} {inputs} x {outputs}")
    for kept, dtype in TYPES.items():
        matrices = pack(products, kept, weights.to(dtype))
        line = []
        for count in FEW:
            rate = matrices[0].bytes / time_products(products, matrices, count, seconds) / 1e9
            line.append(f"{count:3}: {rate:5.1f} GB/s {rate / limit:4.2f}")
        for count, peer in zip(many, of_torch[kept == Format.INT8], strict=True):
            taken = time_products(products, matrices[:1], count, seconds)
            line.append(f"{count:3}: {2e-9 * count * inputs * outputs / taken:5.0f} GF {peer / taken:4.2f}")
        print(f"  {kept.name:5}" + " |".join(line), flush=True)


def pack(products: Products, kept: Format, weights: Tensor) -> list[Matrix]:
    matrices: list[Matrix] = []
    while not matrices or sum(matrix.bytes for matrix in matrices) < COLD_BYTES:
        matrices.append(Matrix(products.library, kept, *weights.shape))
        matrices[-1].fill(0, weights)
    return matrices


def time_products(products: Products, matrices: list[Matrix], count: int, seconds: float) -> float:
    rows = products.rows(np.random.default_rng(0).standard_normal((count, matrices[0].inputs), np.float32))
    out = np.zeros((count, matrices[0].outputs), np.float32)
    return fastest([lambda matrix=matrix: products.multiply(matrix, rows, out) for matrix in matrices], seconds)


def time_torch(weights: Tensor, count: int, seconds: float, integer: bool) -> float:
    rows, columns = torch.randn(count, weights.shape[1]), weights.T
    out = torch.empty(count, len(weights))
    if not integer:
        return fastest([lambda: torch.mm(rows, columns, out=out)], seconds)
    codes, packed = (rows * 30).to(torch.int8), (columns * 30).to(torch.int8)
    return fastest([lambda: torch._int_mm(codes, packed)], seconds)


def fastest(works: list[Callable[[], object]], seconds: float) -> float:
    """Seconds that one of them takes at best, when they take turns."""
    best, until, turn = float("inf"), time.perf_counter() + seconds, 0
    while turn < 3 or time.perf_counter() < until:
        began = time.perf_counter()
        works[turn % len(works)]()
        best, turn = min(best, time.perf_counter() - began), turn + 1
    return best


if __name__ == "__main__":
    main()
