"""The library as Python objects. What they hold in C++ is freed with them."""

from __future__ import annotations

import ctypes
import weakref
from array import array
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parley_worker.native import abi
from parley_worker.native.build import find_library
from parley_worker.native.errors import NativeUnavailable
from parley_worker.native.processor import Variant, supported

Floats = NDArray[np.float32]

MAX_INPUTS = 131_072
"""The longest rows that are multiplied: sums of int8 products are exact up to here."""

_NO_MEMORY, _MESSAGE_BYTES = 1, 256


class Format(IntEnum):
    """How a matrix keeps its weights; bf16 and f16 count as the float32 that they are exactly."""

    F32 = 0
    BF16 = 1
    F16 = 2
    INT8 = 3


_SOURCES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2, torch.float64: 3}
_FILL_ERRORS = {1: "not finite", 2: "of another type than the matrix", 3: "out of range"}
_FILL_NO_MEMORY = 4


class Library:
    """One variant of the library, loaded."""

    def __init__(self, variant: Variant | None = None) -> None:
        """The best that this processor runs, or the one asked for. Raises NativeUnavailable."""
        self.variant = variant or supported()[0]
        path = find_library(self.variant)
        try:
            self.functions = abi.open_library(path)
        except (OSError, AttributeError) as error:  # not for this machine, or without a function that is called
            raise NativeUnavailable(f"{path} cannot be loaded: {error}") from error


class _Handle:
    """A thing of the library's, which is freed when this is closed or no longer used."""

    def __init__(self, library: Library, pointer: int | None, free: str, what: str) -> None:
        if not pointer:
            raise MemoryError(f"no memory for {what}")
        self.library, self.pointer = library, ctypes.c_void_p(pointer)
        self.close = weakref.finalize(self, getattr(library.functions, free), self.pointer)


class Pool(_Handle):
    """Threads that compute together; the caller of a step is one of them."""

    def __init__(self, library: Library, threads: int) -> None:
        super().__init__(library, library.functions.parley_pool_create(threads), "parley_pool_delete", "threads")
        self.threads = threads

    def resize(self, threads: int) -> None:
        """Not during a step. Raises OSError if the system has no thread left."""
        self.threads = self.library.functions.parley_pool_resize(self.pointer, threads)
        if self.threads != threads:
            raise OSError(f"the system has no more than {self.threads} threads for the engine")


class Arena(_Handle):
    """Memory that matrices share, in the order in which they are made; it lasts as long as any of them."""

    def __init__(self, library: Library) -> None:
        super().__init__(library, library.functions.parley_arena_create(), "parley_arena_delete", "weights")


class Matrix(_Handle):
    """Weights [outputs, inputs], packed."""

    def __init__(
        self, library: Library, weights: Format, outputs: int, inputs: int, arena: Arena | None = None
    ) -> None:
        """In memory of its own if no arena is given. Raises MemoryError."""
        arena = arena or Arena(library)
        pointer = library.functions.parley_matrix_create(arena.pointer, weights, outputs, inputs)
        super().__init__(library, pointer, "parley_matrix_delete", f"a matrix [{outputs}, {inputs}] as {weights.name}")
        self.outputs, self.inputs, self.format = outputs, inputs, weights

    @property
    def bytes(self) -> int:
        """Of the packed weights."""
        return int(self.library.functions.parley_matrix_bytes(self.pointer))

    def fill(self, first: int, rows: Tensor) -> None:
        """Pack rows [count, inputs] of any type of checkpoint as outputs from `first` on. ValueError or MemoryError."""
        if rows.dim() != 2 or rows.shape[1] != self.inputs:
            raise ValueError(f"rows of {self.inputs} are meant, not {tuple(rows.shape)}")
        self._fill(self.library.functions.parley_matrix_fill, first, rows)

    def fill_bias(self, first: int, values: Tensor) -> None:
        """Set the bias of the outputs from `first`. Raises as `fill` does."""
        if values.dim() != 1:
            raise ValueError(f"a bias is a vector, not {tuple(values.shape)}")
        self._fill(self.library.functions.parley_matrix_fill_bias, first, values)

    def _fill(self, function: ctypes._NamedFuncPointer, first: int, values: Tensor) -> None:
        if first < 0 or first + len(values) > self.outputs:
            raise ValueError(f"outputs {first} to {first + len(values)} of {self.outputs}")
        values = values.contiguous()
        status = function(self.pointer, first, len(values), values.data_ptr(), _SOURCES[values.dtype])
        if status == _FILL_NO_MEMORY:
            raise MemoryError(f"no memory to pack a matrix [{self.outputs}, {self.inputs}]")
        if status:
            raise ValueError(f"the values are {_FILL_ERRORS[status]}")

    def unpack(self, output: int) -> Floats:
        """The weights of one output: [inputs]. Raises IndexError."""
        row = np.empty(self.inputs, np.float32)
        if self.library.functions.parley_matrix_unpack(self.pointer, output, row.ctypes.data):
            raise IndexError(f"output {output} of {self.outputs}")
        return row


class Cache(_Handle):
    """Keys and values of `blocks` blocks, in bfloat16 or else in float32."""

    def __init__(self, library: Library, layers: int, blocks: int, kv_heads: int, head_dim: int, *, bf16: bool) -> None:
        pointer = library.functions.parley_cache_new(layers, blocks, kv_heads, head_dim, bf16)
        super().__init__(library, pointer, "parley_cache_free", f"{blocks} blocks of keys and values")
        self.blocks = blocks

    def put(self, layer: int, block: int, head: int, slot: int, key: Tensor, value: Tensor) -> None:
        """Write the float32 key and value [head_dim] of one token and head."""
        put = self.library.functions.parley_cache_put
        put(self.pointer, layer, block, head, slot, key.data_ptr(), value.data_ptr())

    def fill(self, block: int, byte: int) -> None:
        """Write a byte all over a block, as if another sequence had left it so."""
        self.library.functions.parley_cache_fill(self.pointer, block, byte)


def block_bytes(library: Library, layers: int, kv_heads: int, head_dim: int, *, bf16: bool) -> int:
    """The memory that a block of keys and values takes over all layers."""
    return int(library.functions.parley_cache_block_bytes(layers, kv_heads, head_dim, bf16))


class Sampler(_Handle):
    """Draws tokens from rows of scores [rows, vocab], which the threads of `pool` share."""

    def __init__(self, pool: Pool, vocab: int) -> None:
        super().__init__(pool.library, pool.library.functions.parley_sampler_new(vocab), "parley_sampler_free", "draws")
        self._pool = pool
        self._message = ctypes.create_string_buffer(_MESSAGE_BYTES)
        self._draw = self.library.functions.parley_sampler_draw

    def draw(self, scores: int, draws: bytes) -> list[int]:
        """A token for each row of the scores at this address, -1 where one is not finite. `draws`: a DRAW for each.

        Penalties change the scores. MemoryError, or ValueError for a penalized id beyond the vocabulary, before that.
        """
        tokens = _tokens(draws)
        address, count = tokens.buffer_info()
        outcome = self._draw(
            self.pointer, self._pool.pointer, scores, count, draws, address, self._message, _MESSAGE_BYTES
        )
        _check(outcome, self._message)
        return tokens.tolist()


class Decoder(_Handle):
    """A model: weights, which it keeps alive, on a cache and a pool."""

    def __init__(
        self,
        shape: abi.DecoderShape,
        weights: abi.DecoderWeights,
        cache: Cache,
        pool: Pool,
        keeps: object,
    ) -> None:
        pointer = pool.library.functions.parley_decoder_new(shape, weights, cache.pointer, pool.pointer)
        super().__init__(pool.library, pointer, "parley_decoder_free", "a decoder")
        self._keeps = (cache, pool, keeps)
        self._message = ctypes.create_string_buffer(_MESSAGE_BYTES)
        self._done = ctypes.c_int64()
        self._execute = self.library.functions.parley_decoder_execute
        self._generate = self.library.functions.parley_decoder_generate

    def execute(self, numbers: array[int], tables: abi.Tables, scores: int) -> None:
        """Compute a step; `numbers`, of type q, are what csrc/step.h says, `scores` is an address.

        Raises ValueError or MemoryError before anything is computed.
        """
        address, _ = numbers.buffer_info()
        _check(self._execute(self.pointer, address, tables, scores, self._message, _MESSAGE_BYTES), self._message)

    def generate(
        self, numbers: array[int], tables: abi.Tables, scores: int, sampler: Sampler, draws: bytes, rounds: abi.Rounds
    ) -> list[int]:
        """Compute a step and draw from its scores, round by round; see csrc/model.h.

        `draws`: those of a round after those of the round before, as `Sampler.draw` takes them. The tokens come in the
        same order, as many rounds of them as there were. Raises as `execute` and `Sampler.draw` do, before the step
        that it is about.
        """
        tokens = _tokens(draws)
        if len(tokens) != rounds.most * numbers[2]:
            raise ValueError(f"{len(tokens)} draws for {rounds.most} rounds of {numbers[2]}")
        address, _ = numbers.buffer_info()
        outcome = self._generate(
            *(self.pointer, address, tables, scores, sampler.pointer, draws),
            *(rounds, tokens.buffer_info()[0], self._done, self._message, _MESSAGE_BYTES),
        )
        _check(outcome, self._message)
        return tokens[: len(tokens) // rounds.most * self._done.value].tolist()


def _tokens(draws: bytes) -> array[int]:
    """Room for what they draw."""
    return array("q", bytes(len(draws) // abi.DRAW.size * 8))


def _check(outcome: int, message: ctypes.Array[ctypes.c_char]) -> None:
    if outcome == _NO_MEMORY:
        raise MemoryError("no memory for a step, or for its draws")
    if outcome:
        raise ValueError(message.value.decode())
