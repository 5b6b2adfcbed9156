"""Products of the native library alone, as its tests and benchmarks ask for them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_int64, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parley_worker.native.library import Format, Library, Matrix, Pool

Floats = NDArray[np.float32]
Divide = Callable[[int, int, Callable[[int, int], None]], None]

_WORK = ctypes.CFUNCTYPE(None, c_void_p, ctypes.c_int, ctypes.c_int)
_MEANWHILE = ctypes.CFUNCTYPE(ctypes.c_bool)
_RUN = ctypes.CFUNCTYPE(None, c_int64, c_int64)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    # The result first, then the arguments.
    "parley_row_stride": (c_int64, c_int64),
    "parley_code_stride": (c_int64, c_int64),
    "parley_quantize": (None, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_void_p, c_void_p),
    "parley_multiply": (None, *(c_void_p,) * 2, c_int64, c_void_p, c_int64, *(c_void_p,) * 3, c_int64, c_int64),
    "parley_pool_fork": (None, c_void_p, _WORK, c_void_p),
    "parley_pool_barrier": (None, c_void_p, _MEANWHILE),
    "parley_shares_create": (c_void_p, c_int64),
    "parley_shares_delete": (None, c_void_p),
    "parley_shares_divide": (None, c_void_p, c_int64, c_int64, _RUN),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """`values` [rows, stride], of which the first `inputs` count; `codes` and `scales` are what int8 multiplies."""

    inputs: int
    values: Floats
    codes: NDArray[np.uint8]
    scales: Floats

    @property
    def count(self) -> int:
        return len(self.values)


class Products:
    """One library with a pool of its own."""

    def __init__(self, library: Library, threads: int) -> None:
        self.library, self.pool = library, Pool(library, threads)
        for name, (result, *arguments) in _SIGNATURES.items():
            function = getattr(library.functions, name)
            function.restype, function.argtypes = result, arguments

    def rows(self, values: Floats) -> Rows:
        """Rows [count, inputs] as the engine lays and quantizes them."""
        count, inputs = values.shape
        functions = self.library.functions
        laid = np.full((count, functions.parley_row_stride(inputs)), np.nan, np.float32)
        laid[:, :inputs] = values
        codes = np.full((count, functions.parley_code_stride(inputs)), 0xEE, np.uint8)
        scales = np.empty(count, np.float32)
        functions.parley_quantize(
            self.pool.pointer, laid.ctypes.data, laid.shape[1], count, inputs, codes.ctypes.data, scales.ctypes.data
        )
        return Rows(inputs, laid, codes, scales)

    def multiply(self, matrix: Matrix, rows: Rows, out: Floats | None = None, *, add: bool = False) -> Floats:
        """rows x weights^T: [count, outputs]; written to, or added to, the first `outputs` columns of `out`."""
        if rows.inputs != matrix.inputs:
            raise ValueError(f"rows of {rows.inputs} for a matrix of {matrix.inputs} inputs")
        if out is None:
            out = np.full((rows.count, matrix.outputs), np.nan, np.float32)
        self.library.functions.parley_multiply(
            *(self.pool.pointer, matrix.pointer, rows.count, rows.values.ctypes.data, rows.values.shape[1]),
            *(rows.codes.ctypes.data, rows.scales.ctypes.data, out.ctypes.data, out.shape[1], add),
        )
        return out

    def fork(self, work: Callable[[int, int], None]) -> None:
        """Run work(thread, threads) on every thread of the pool."""
        self.library.functions.parley_pool_fork(
            self.pool.pointer, _WORK(lambda _, thread, threads: work(thread, threads)), None
        )

    def barrier(self, meanwhile: Callable[[], bool] = lambda: False) -> None:
        """Inside a fork: wait for the others, and call `meanwhile` as long as it returns true."""
        self.library.functions.parley_pool_barrier(self.pool.pointer, _MEANWHILE(meanwhile))

    @contextmanager
    def shares(self) -> Iterator[Divide]:
        """A function divide(count, thread, work), which runs work(first, last): once on every thread for each job."""
        functions = self.library.functions
        shares = c_void_p(functions.parley_shares_create(self.pool.threads))
        try:
            yield lambda count, thread, work: functions.parley_shares_divide(shares, count, thread, _RUN(work))
        finally:
            functions.parley_shares_delete(shares)


__all__ = ["Format", "Matrix", "Products", "Rows"]
