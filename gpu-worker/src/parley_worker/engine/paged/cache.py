"""The memory of keys and values: blocks that any sequence may hold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from parley_worker.engine.errors import EngineConfigError
from parley_worker.models.decoder import Decoder
from parley_worker.scheduler.batch import BLOCK_SIZE


@dataclass(frozen=True, slots=True)
class BlockCache:
    """keys and values [layers, blocks, BLOCK_SIZE, kv_heads, head_dim].

    windows: how far back the attention of each layer reaches, see ModelConfig.attention_windows. A block holds whatever
    its last sequence left there, also numbers that are not finite. On a CPU, memory is taken as it is first written.
    """

    keys: Tensor
    values: Tensor
    windows: tuple[int | None, ...]

    @classmethod
    def of(cls, model: Decoder, blocks: int) -> BlockCache:
        """Raises EngineConfigError if there is no memory for so many blocks."""
        config = model.config
        shape = (config.layers, blocks, BLOCK_SIZE, config.kv_heads, config.head_dim)
        try:
            keys, values = (torch.zeros(shape, dtype=model.dtype, device=model.device) for _ in range(2))
        except RuntimeError as error:
            raise EngineConfigError(f"kv_bytes: no memory for {blocks} blocks of keys and values") from error
        return cls(keys, values, config.attention_windows)

    def write(self, layer: int, places: Tensor, key: Tensor, value: Tensor) -> None:
        """Keep key and value [rows, kv_heads, head_dim] at `places` [rows]: block * BLOCK_SIZE + place in the block."""
        self.keys[layer].flatten(0, 1).index_copy_(0, places, key)
        self.values[layer].flatten(0, 1).index_copy_(0, places, value)

    def read(self, layer: int, blocks: Tensor) -> tuple[Tensor, Tensor]:
        """Copies of the keys and the values of blocks [n]: [n * BLOCK_SIZE, kv_heads, head_dim] each."""
        keys, values = (cached[layer].index_select(0, blocks).flatten(0, 1) for cached in (self.keys, self.values))
        return keys, values
