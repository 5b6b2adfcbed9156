"""The KV cache: one contiguous window of keys and values for each slot."""

from __future__ import annotations

from collections.abc import Sequence as Ordered
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from parley_worker.models.decoder import Decoder
from parley_worker.scheduler.step import Clear, Move, Segment


class SlotCache:
    """Keys and values [layers, slots, kv_heads, window, head_dim]. On a CPU, memory is taken as it is first written.

    Whatever a slot holds is finite: padding is masked by a weight of zero, and zero times infinity is not zero.
    """

    def __init__(self, model: Decoder, slots: int, window: int) -> None:
        config = model.config
        shape = (config.layers, slots, config.kv_heads, window, config.head_dim)
        self.keys = torch.zeros(shape, dtype=model.dtype, device=model.device)
        self.values = torch.zeros_like(self.keys)
        self.attention_windows = config.attention_windows
        # No score depends on what slid out of a window, so finite scores do not prove it finite.
        self._clears = any(window is not None for window in config.attention_windows)
        self._reach = [0] * slots

    def edit(self, edit: Move | Clear) -> None:
        if isinstance(edit, Clear):
            self._clear(edit.slot, 0, edit.length)
            return
        for tensor in (self.keys, self.values):
            tensor[:, edit.target, :, : edit.length] = tensor[:, edit.source, :, : edit.length]
        self._forget(edit.target, edit.length)

    def prepare(self, segments: Ordered[Segment]) -> None:
        """Make the slots ready to take in these segments."""
        for segment in segments:
            if segment.start == 0:
                self._forget(segment.slot, 0)
            self._reach[segment.slot] = segment.start + segment.length

    def _forget(self, slot: int, length: int) -> None:
        """Keep the first `length` tokens in a slot alone, of what earlier sequences left there."""
        if self._clears:
            self._clear(slot, length, self._reach[slot])
        self._reach[slot] = length

    def _clear(self, slot: int, begin: int, end: int) -> None:
        self.keys[:, slot, :, begin:end] = 0
        self.values[:, slot, :, begin:end] = 0


class SlotAttention:
    """The attention of one step. The rows of the batch are the tokens of `segments`, in this order.

    Segments of one token come first: they attend together, in one call.
    """

    def __init__(self, cache: SlotCache, segments: Ordered[Segment], positions: Tensor) -> None:
        self._cache = cache
        cache.prepare(segments)
        device = positions.device
        self._singles = sum(segment.length == 1 for segment in segments)
        self._chunks = segments[self._singles :]
        slots = torch.tensor([segment.slot for segment in segments], device=device)
        lengths = torch.tensor([segment.length for segment in segments], device=device)
        self._places = _places(cache, slots.repeat_interleave(lengths), positions)
        singles = segments[: self._singles]
        dense = all(segment.slot == row for row, segment in enumerate(singles))
        self._slots: Tensor | slice = slice(self._singles) if dense else slots[: self._singles]
        windows = set(cache.attention_windows)
        self._single_spans = {window: _span_of_singles(singles, window, device) for window in windows if singles}
        self._chunk_spans = {
            window: [_span_of_chunk(segment, window, device) for segment in self._chunks] for window in windows
        }

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See `Attention`."""
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        window = self._cache.attention_windows[layer]
        head_dim = key.shape[-1]
        keys.view(-1, head_dim).index_copy_(0, self._places, key.reshape(-1, head_dim))
        values.view(-1, head_dim).index_copy_(0, self._places, value.reshape(-1, head_dim))
        parts = []
        if self._singles:
            parts.append(self._attend_singles(self._single_spans[window], query[: self._singles], keys, values))
        row = self._singles
        for segment, span in zip(self._chunks, self._chunk_spans[window], strict=True):
            parts.append(_attend_chunk(segment, span, query[row : row + segment.length], keys, values))
            row += segment.length
        return (parts[0] if len(parts) == 1 else torch.cat(parts)).flatten(1)

    def _attend_singles(self, span: Span, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        # Heads that share keys and values attend as if they were rows of one query: these are read once for all.
        attended = F.scaled_dot_product_attention(
            query.unflatten(1, (keys.shape[1], -1)),  # type: ignore[no-untyped-call]
            keys[:, :, span.begin : span.end][self._slots],
            values[:, :, span.begin : span.end][self._slots],
            attn_mask=None if span.mask is None else span.mask[:, None, None],
        )
        return attended.flatten(1, 2)


@dataclass(frozen=True, slots=True)
class Span:
    """The cached positions that some rows read, from `begin` up to `end`.

    mask [rows, positions]: which of them each row attends to. None: all of them, or causally if the rows are a chunk.
    """

    begin: int
    end: int
    mask: Tensor | None


def _span_of_singles(singles: Ordered[Segment], window: int | None, device: torch.device) -> Span:
    starts = [segment.start for segment in singles]
    begin, end = _begin(min(starts), window), max(starts) + 1
    if min(starts) + 1 == end:
        return Span(begin, end, None)
    return Span(begin, end, _mask(torch.tensor(starts, device=device), begin, end, window))


def _span_of_chunk(segment: Segment, window: int | None, device: torch.device) -> Span:
    begin, end = _begin(segment.start, window), segment.start + segment.length
    if segment.start == 0 and (window is None or end <= window):
        return Span(begin, end, None)
    return Span(begin, end, _mask(torch.arange(segment.start, end, device=device), begin, end, window))


def _begin(position: int, window: int | None) -> int:
    """The first position that a row at `position` attends to."""
    return 0 if window is None else max(0, position + 1 - window)


def _mask(rows: Tensor, begin: int, end: int, window: int | None) -> Tensor:
    """Which positions from `begin` to `end` the rows at these positions attend to."""
    back = rows.unsqueeze(1) - torch.arange(begin, end, device=rows.device)
    return back >= 0 if window is None else (back >= 0) & (back < window)


def _places(cache: SlotCache, slots: Tensor, positions: Tensor) -> Tensor:
    """Where each row's keys go in a layer of the cache, seen as a list of heads: [rows * kv_heads]."""
    kv_heads, window = cache.keys.shape[2:4]
    heads = torch.arange(kv_heads, device=slots.device)
    return ((slots.unsqueeze(1) * kv_heads + heads) * window + positions.unsqueeze(1)).flatten()


def _attend_chunk(segment: Segment, span: Span, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """A piece of a prompt attends to what came before it in its slot, and causally to itself."""
    attended = F.scaled_dot_product_attention(
        query.transpose(0, 1).unsqueeze(0),
        keys[segment.slot, :, span.begin : span.end].unsqueeze(0),
        values[segment.slot, :, span.begin : span.end].unsqueeze(0),
        attn_mask=span.mask,
        is_causal=span.mask is None,
        enable_gqa=True,
    )
    return attended.squeeze(0).transpose(0, 1)
