"""The executor in C++: a whole step in one call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from parley_worker.engine.errors import EngineConfigError
from parley_worker.models.config import ModelConfig
from parley_worker.native import abi
from parley_worker.native.library import Cache, Decoder, Library, Matrix, Pool, block_bytes
from parley_worker.native.loader import PackedLayer, PackedWeights, load_packed
from parley_worker.native.rotations import Rotations
from parley_worker.scheduler.batch import BLOCK_SIZE, Batch


class NativeExecutor:
    """A model on the CPU; see `Executor`. `config`: its shape. `weight_bytes`: the memory of its matrices."""

    invariant = True
    looks_ahead = False

    def __init__(
        self, folder: Path, *, int8: bool, kv_bytes: int, threads: int = 1, library: Library | None = None
    ) -> None:
        """int8: the arithmetic of all products; keys and values are then kept in half precision, else in float32.

        kv_bytes bounds the keys and values in all; their memory is taken as it is first used. Raises NativeUnavailable,
        CheckpointError, EngineConfigError if there is no room for a block, and MemoryError.
        """
        library = library or Library()
        self.config, weights = load_packed(library, folder, int8=int8)
        config = self.config
        size = block_bytes(library, config.layers, config.kv_heads, config.head_dim, half=int8)
        if kv_bytes < size:
            raise EngineConfigError(f"kv_bytes: {kv_bytes} bytes do not hold a block of {BLOCK_SIZE} tokens: {size}")
        self.blocks = kv_bytes // size
        self.weight_bytes = weights.bytes
        self.cache = Cache(library, config.layers, self.blocks, config.kv_heads, config.head_dim, half=int8)
        self._pool = Pool(library, threads)
        self._decoder = Decoder(*_describe(config, weights), self.cache, self._pool, keeps=weights)
        self._rotations = Rotations(config)
        self._scores = torch.empty(0, config.vocab_size)

    @property
    def threads(self) -> int:
        return self._pool.threads

    def set_threads(self, threads: int) -> None:
        """How many threads share a step from now on. Raises OSError if the system has no more."""
        self._pool.resize(threads)

    @torch.no_grad()
    def execute(self, batch: Batch) -> Tensor:
        """See `Executor`. Raises ValueError for a batch that is not one of this model and cache."""
        _check(batch, self.config, self.blocks)
        if len(batch.draws) > len(self._scores):
            self._scores = torch.empty(len(batch.draws), self.config.vocab_size)
        scores = self._scores[: len(batch.draws)]
        if not len(batch.tokens):
            return scores
        cos, sin = self._rotations(torch.from_numpy(batch.positions), torch.from_numpy(batch.lengths))
        arrays = [
            np.ascontiguousarray(values, dtype)
            for values, dtype in (
                (batch.tokens, np.int64),
                (batch.positions, np.int64),
                (batch.starts, np.int32),
                (batch.blocks, np.int32),
                (batch.draws, np.int64),
                (cos.numpy(), np.float32),
                (sin.numpy(), np.float32),
            )
        ]
        counts = (len(batch.tokens), len(batch.blocks), len(batch.draws), batch.blocks.shape[1])
        self._decoder.execute(abi.Batch(*counts, *(array.ctypes.data for array in arrays)), scores.numpy())
        return scores


def _check(batch: Batch, config: ModelConfig, blocks: int) -> None:
    """The library trusts what it is given: whatever could make it read or write elsewhere ends here."""
    rows, starts, table = len(batch.tokens), batch.starts, batch.blocks
    if len(batch.positions) != rows or len(batch.lengths) != rows:
        raise ValueError(f"{rows} tokens, {len(batch.positions)} positions and {len(batch.lengths)} lengths")
    if len(starts) != len(table) + 1 or starts[0] != 0 or starts[-1] != rows or (np.diff(starts) < 1).any():
        raise ValueError(f"segments that begin at {starts.tolist()} for {len(table)} tables of blocks and {rows} rows")
    _within("token", batch.tokens, config.vocab_size)
    _within("position", batch.positions, table.shape[1] * BLOCK_SIZE)
    _within("block", table, blocks)
    _within("draw", batch.draws, rows)
    steps = np.diff(batch.positions)
    steps[starts[1:-1] - 1] = 1
    if (steps != 1).any():
        raise ValueError("the positions of a segment do not follow each other")


def _within(what: str, values: np.ndarray[tuple[int, ...], np.dtype[np.integer]], limit: int) -> None:
    if values.size and (values.min() < 0 or values.max() >= limit):
        raise ValueError(f"{what}: {values.min()} to {values.max()} is not within 0 to {limit - 1}")


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
