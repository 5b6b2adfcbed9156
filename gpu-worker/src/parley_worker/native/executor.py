"""The executor in C++: a whole step in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parley_worker.engine.errors import EngineConfigError
from parley_worker.models.config import ModelConfig
from parley_worker.native import abi
from parley_worker.native.library import Cache, Decoder, Library, Matrix, Pool, block_bytes
from parley_worker.native.loader import PackedLayer, PackedWeights, load_packed
from parley_worker.native.rotations import Rotations
from parley_worker.scheduler.batch import BLOCK_SIZE, Batch


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
        self._scores = self._drawn = torch.empty(0, config.vocab_size)
        self._draws = 0

    @property
    def threads(self) -> int:
        return self.pool.threads

    def set_threads(self, threads: int) -> None:
        """How many threads share a step from now on. Raises OSError if the system has no more."""
        self.pool.resize(threads)

    def execute(self, batch: Batch) -> Tensor:
        """See `Executor`. Raises ValueError for a batch that is not one of this model and cache, and MemoryError."""
        scores = self._make_room(len(batch.draws))
        if len(batch.tokens):
            arrays = self._arrays(batch)
            counts = (len(batch.tokens), len(batch.blocks), len(batch.draws), batch.blocks.shape[1], len(arrays[-1]))
            described = abi.Batch(*counts, *(array.__array_interface__["data"][0] for array in arrays))
            self._decoder.execute(described, scores.data_ptr())
        return scores

    def _make_room(self, draws: int) -> Tensor:
        """The same tensor for as many draws as before: what torch does for another has left the caches by now."""
        if draws != self._draws:
            if draws > len(self._scores):
                self._scores = torch.empty(draws, self.config.vocab_size)
            self._drawn, self._draws = self._scores[:draws], draws
        return self._drawn

    def _arrays(self, batch: Batch) -> list[NDArray[Any]]:
        """What abi.Batch points to. Its numbers are checked by the library; here, that there are as many as it says."""
        rows = len(batch.tokens)
        if len(batch.positions) != rows or len(batch.lengths) != rows:
            raise ValueError(f"{rows} tokens, {len(batch.positions)} positions and {len(batch.lengths)} lengths")
        if len(batch.starts) != len(batch.blocks) + 1:
            raise ValueError(f"{len(batch.starts)} starts for {len(batch.blocks)} segments")
        tokens, positions, draws, lengths = (
            np.ascontiguousarray(values, np.int64)
            for values in (batch.tokens, batch.positions, batch.draws, batch.lengths)
        )
        starts, blocks = (np.ascontiguousarray(values, np.int32) for values in (batch.starts, batch.blocks))
        if not 0 <= positions.min() <= positions.max() < self.config.window:
            raise ValueError(
                f"positions from {positions.min()} to {positions.max()} in a window of {self.config.window}"
            )
        angles = self._rotations(positions, lengths)
        return [tokens, positions, starts, blocks, draws, angles.of_rows, angles.cos, angles.sin]


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
