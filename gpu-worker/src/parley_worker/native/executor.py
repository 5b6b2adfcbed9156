"""The executor in C++: a whole step in one call."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from parley_worker.engine.errors import EngineConfigError
from parley_worker.models.config import ModelConfig
from parley_worker.native import abi
from parley_worker.native.library import Cache, Decoder, Library, Matrix, Pool, Sampler, block_bytes
from parley_worker.native.loader import PackedLayer, PackedWeights, load_packed
from parley_worker.native.rotations import Angles, Rotations
from parley_worker.scheduler.assembly import Rows
from parley_worker.scheduler.batch import BLOCK_SIZE, Batch, Int32s


class NativeExecutor:
    """A model on the CPU; see `Executor`. `config`: its shape. `weight_bytes`: the memory of its matrices. `pool`: the
    threads of its steps, for others between them."""

    invariant = True
    looks_ahead = False

    def __init__(
        self, folder: Path, *, int8: bool, kv_bytes: int, threads: int = 1, library: Library | None = None
    ) -> None:
        """int8: the arithmetic of all products; keys and values are then kept in bfloat16, else in float32.

        kv_bytes bounds the keys and values in all; their memory is taken as it is first used. Raises NativeUnavailable,
        CheckpointError, EngineConfigError if there is no room for a block, and MemoryError.
        """
        library = library or Library()
        self.config, weights = load_packed(library, folder, int8=int8)
        config = self.config
        size = block_bytes(library, config.layers, config.kv_heads, config.head_dim, bf16=int8)
        if kv_bytes < size:
            raise EngineConfigError(f"kv_bytes: {kv_bytes} bytes do not hold a block of {BLOCK_SIZE} tokens: {size}")
        self.blocks = kv_bytes // size
        self.weight_bytes = weights.bytes
        self.cache = Cache(library, config.layers, self.blocks, config.kv_heads, config.head_dim, bf16=int8)
        self.pool = Pool(library, threads)
        self._decoder = Decoder(*_describe(config, weights), self.cache, self.pool, keeps=weights)
        self._rotations = Rotations(config)
        self._angles: Angles | None = None
        self._blocks: Int32s | None = None
        self._scores = self._drawn = torch.empty(0, config.vocab_size)
        self._draws, self._address = 0, self._scores.data_ptr()

    @property
    def threads(self) -> int:
        return self.pool.threads

    def set_threads(self, threads: int) -> None:
        """How many threads share a step from now on. Raises OSError if the system has no more."""
        self.pool.resize(threads)

    def execute(self, batch: Batch) -> Tensor:
        """See `Executor`. Raises ValueError for a batch that is not one of this model and cache, and MemoryError."""
        return self.run(_rows_of(batch), np.ascontiguousarray(batch.blocks, np.int32))

    def run(self, rows: Rows, blocks: Int32s) -> Tensor:
        """The same for a step in lists; blocks [tables, stride] are the tables that it names, and not copied.

        The numbers are checked by the library, up to there being as many as the lists say of each other.
        """
        scores = self._make_room(len(rows.draws))
        if rows.tokens:
            self._decoder.execute(self._number(rows, rows.longest, blocks), self._tables, self._address)
        return scores

    def generate(self, rows: Rows, blocks: Int32s, sampler: Sampler, draws: bytes, rounds: abi.Rounds) -> list[int]:
        """Compute a step as `run` does, draw, and go on with what was drawn; see `Decoder.generate`."""
        self._make_room(len(rows.draws))
        if not rows.tokens:
            return []
        numbers = self._number(rows, rows.longest + rounds.most - 1, blocks)
        return self._decoder.generate(numbers, self._tables, self._address, sampler, draws, rounds)

    def _number(self, rows: Rows, longest: int, blocks: Int32s) -> array[int]:
        """See csrc/step.h. longest: the tokens that the longest sequence comes to have."""
        if longest > self.config.window:
            raise ValueError(f"a sequence of {longest} tokens in a window of {self.config.window}")
        angles = self._rotations(longest, rows.positions, rows.lengths)
        if angles is not self._angles or blocks is not self._blocks:
            self._point_to(angles, blocks)
        turns = angles.of_rows or ()
        counts = (len(rows.tokens), len(rows.tables), len(rows.draws), bool(turns))
        return array("q", [*counts, *rows.tokens, *rows.positions, *turns, *rows.draws, *rows.starts, *rows.tables])

    def _make_room(self, draws: int) -> Tensor:
        """The same tensor for as many draws as before: what torch does for another has left the caches by now."""
        if draws != self._draws:
            if draws > len(self._scores):
                self._scores = torch.empty(draws, self.config.vocab_size)
            self._drawn, self._draws = self._scores[:draws], draws
            self._address = self._scores.data_ptr()
        return self._drawn

    def _point_to(self, angles: Angles, blocks: Int32s) -> None:
        """Keeps them, as the library reads them where they are."""
        if blocks.ndim != 2 or blocks.dtype != np.int32 or not blocks.flags.c_contiguous:
            raise ValueError(f"block tables {list(blocks.shape)} of {blocks.dtype}")
        self._angles, self._blocks = angles, blocks
        addresses = (values.ctypes.data for values in (blocks, angles.cos, angles.sin))
        self._tables = abi.Tables(*blocks.shape, len(angles.cos), *addresses)


def _rows_of(batch: Batch) -> Rows:
    """A batch in lists. ValueError: it does not have as many of each as it says."""
    rows, segments = len(batch.tokens), len(batch.blocks)
    if len(batch.positions) != rows or len(batch.lengths) != rows:
        raise ValueError(f"{rows} tokens, {len(batch.positions)} positions and {len(batch.lengths)} lengths")
    if len(batch.starts) != segments + 1:
        raise ValueError(f"{len(batch.starts)} starts for {segments} segments")
    tokens, positions, lengths, starts, draws = (
        values.tolist() for values in (batch.tokens, batch.positions, batch.lengths, batch.starts, batch.draws)
    )
    return Rows(tokens, positions, lengths, starts, draws, list(range(segments)), max(positions, default=-1) + 1)


def _describe(config: ModelConfig, weights: PackedWeights) -> tuple[abi.DecoderShape, abi.DecoderWeights]:
    shape = abi.DecoderShape(
        config.vocab_size,
        config.hidden_size,
        config.intermediate_size,
        config.layers,
        config.heads,
        config.kv_heads,
        config.head_dim,
        config.norm_eps,
    )
    layers = (abi.LayerWeights * config.layers)(
        *(
            _describe_layer(layer, reach or 0, rotates)
            for layer, reach, rotates in zip(weights.layers, config.attention_windows, config.rotations, strict=True)
        )
    )
    return shape, abi.DecoderWeights(weights.embedding.pointer, weights.head.pointer, weights.norm.data_ptr(), layers)


def _describe_layer(layer: PackedLayer, reach: int, rotates: bool) -> abi.LayerWeights:
    norms = (layer.attention_norm, layer.mlp_norm, layer.query_norm, layer.key_norm)
    matrices: tuple[Matrix, ...] = (layer.qkv, layer.output, layer.gate_up, layer.down)
    return abi.LayerWeights(
        *(None if norm is None else norm.data_ptr() for norm in norms),
        *(matrix.pointer for matrix in matrices),
        reach,
        rotates,
    )
