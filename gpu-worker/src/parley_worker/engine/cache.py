"""The KV cache: one contiguous window of keys and values for each slot."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from parley_worker.models.llama import Llama
from parley_worker.scheduler.step import Clear, Move, Segment


class SlotCache:
    """Keys and values [layers, slots, kv_heads, window, head_dim]. On a CPU, memory is taken as it is first written.

    Whatever a slot holds is finite: padding is masked by a weight of zero, and zero times infinity is not zero.
    """

    def __init__(self, model: Llama, slots: int, window: int) -> None:
        config = model.config
        shape = (config.layers, slots, config.kv_heads, window, config.head_dim)
        self.keys = torch.zeros(shape, dtype=model.dtype, device=model.device)
        self.values = torch.zeros_like(self.keys)

    def edit(self, edit: Move | Clear) -> None:
        for tensor in (self.keys, self.values):
            if isinstance(edit, Move):
                tensor[:, edit.target, :, : edit.length] = tensor[:, edit.source, :, : edit.length]
            else:
                tensor[:, edit.slot, :, : edit.length] = 0


class SlotAttention:
    """The attention of one step. The rows of the batch are the tokens of `segments`, in this order.

    Segments of one token come first: they attend together, in one call.
    """

    def __init__(self, cache: SlotCache, segments: Ordered[Segment], positions: Tensor) -> None:
        self._cache = cache
        device = positions.device
        self._singles = sum(segment.length == 1 for segment in segments)
        self._chunks = segments[self._singles :]
        slots = torch.tensor([segment.slot for segment in segments], device=device)
        lengths = torch.tensor([segment.length for segment in segments], device=device)
        self._places = _places(cache, slots.repeat_interleave(lengths), positions)
        self._reach = max((segment.start + 1 for segment in segments[: self._singles]), default=0)
        self._mask = self._padding_mask(segments[: self._singles], device)
        dense = all(segment.slot == row for row, segment in enumerate(segments[: self._singles]))
        self._slots: Tensor | slice = slice(self._singles) if dense else slots[: self._singles]

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See `Attention`."""
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        head_dim = key.shape[-1]
        keys.view(-1, head_dim).index_copy_(0, self._places, key.reshape(-1, head_dim))
        values.view(-1, head_dim).index_copy_(0, self._places, value.reshape(-1, head_dim))
        parts = [self._attend_singles(query[: self._singles], keys, values)] if self._singles else []
        row = self._singles
        for segment in self._chunks:
            parts.append(_attend_chunk(segment, query[row : row + segment.length], keys, values))
            row += segment.length
        return (parts[0] if len(parts) == 1 else torch.cat(parts)).flatten(1)

    def _attend_singles(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        # Heads that share keys and values attend as if they were rows of one query: these are read once for all.
        attended = F.scaled_dot_product_attention(
            query.unflatten(1, (keys.shape[1], -1)),  # type: ignore[no-untyped-call]
            keys[:, :, : self._reach][self._slots],
            values[:, :, : self._reach][self._slots],
            attn_mask=self._mask,
        )
        return attended.flatten(1, 2)

    def _padding_mask(self, singles: Ordered[Segment], device: torch.device) -> Tensor | None:
        """Which of the cached positions belong to each sequence; None when all of them do."""
        if all(segment.start + 1 == self._reach for segment in singles):
            return None
        ends = torch.tensor([segment.start for segment in singles], device=device)
        return (torch.arange(self._reach, device=device) <= ends.unsqueeze(1))[:, None, None, :]


def _places(cache: SlotCache, slots: Tensor, positions: Tensor) -> Tensor:
    """Where each row's keys go in a layer of the cache, seen as a list of heads: [rows * kv_heads]."""
    kv_heads, window = cache.keys.shape[2:4]
    heads = torch.arange(kv_heads, device=slots.device)
    return ((slots.unsqueeze(1) * kv_heads + heads) * window + positions.unsqueeze(1)).flatten()


def _attend_chunk(segment: Segment, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """A piece of a prompt attends to all that came before it in its slot, and causally to itself."""
    end = segment.start + segment.length
    mask = None
    if segment.start:
        mask = torch.ones(segment.length, end, dtype=torch.bool, device=query.device).tril(segment.start)
    attended = F.scaled_dot_product_attention(
        query.transpose(0, 1).unsqueeze(0),
        keys[segment.slot, :, :end].unsqueeze(0),
        values[segment.slot, :, :end].unsqueeze(0),
        attn_mask=mask,
        is_causal=mask is None,
        enable_gqa=True,
    )
    return attended.squeeze(0).transpose(0, 1)
