"""From scores to tokens, for a whole batch."""

from __future__ import annotations

from collections.abc import Sequence as Ordered
from hashlib import blake2b

import torch
from torch import Tensor

from parley_worker.scheduler.request import Sampling, Sequence

# Below this a temperature only overflows: the best token has all of the probability.
_GREEDY_TEMPERATURE = 1e-5
_UNIFORM_BITS = 52


def draw_tokens(sequences: Ordered[Sequence], logits: Tensor) -> list[int | None]:
    """The next token of each sequence from its row of float32 `logits` [sequences, vocab]; None: not finite.

    A draw depends on the row, the request's settings and seed, and the token's index in the answer: never on the rest
    of the batch or on what was drawn before. `logits` is overwritten.
    """
    finite = torch.isfinite(logits).all(dim=-1)
    for row, sequence in enumerate(sequences):
        if sequence.request.sampling.repetition_penalty != 1.0:
            _penalize(logits[row], sequence)
    logits.nan_to_num_()  # a row without a sum has no place in it to draw from, which would end the whole step
    tokens = logits.argmax(dim=-1)
    for top_k, rows in _rows_to_draw(sequences, logits.shape[-1]).items():
        tokens[rows] = _draw([sequences[row] for row in rows], logits[rows], top_k)
    return [token if valid else None for token, valid in zip(tokens.tolist(), finite.tolist(), strict=True)]


def uniform(seed: int, index: int) -> float:
    """A number in [0, 1) for each pair. Neighbouring seeds and indexes are independent: it is a keyed hash."""
    digest = blake2b(f"{seed}:{index}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> (64 - _UNIFORM_BITS)) * 2.0**-_UNIFORM_BITS


def _is_greedy(sampling: Sampling, vocab: int) -> bool:
    # The best of `vocab` tokens has at least 1 / vocab of the probability: a smaller nucleus holds it alone.
    tiny_nucleus = sampling.top_p * vocab <= 1.0
    return sampling.temperature < _GREEDY_TEMPERATURE or sampling.top_k == 1 or tiny_nucleus


def _rows_to_draw(sequences: Ordered[Sequence], vocab: int) -> dict[int, list[int]]:
    """The rows that are not greedy by how many of the best tokens they look at: 0 is all of them, unsorted.

    Rows of one width go through the same kernels whether alone or not, so that ties break the same way.
    """
    groups: dict[int, list[int]] = {}
    for row, sequence in enumerate(sequences):
        sampling = sequence.request.sampling
        if not _is_greedy(sampling, vocab):
            width = min(sampling.top_k or vocab, vocab)
            groups.setdefault(0 if width == vocab and sampling.top_p >= 1.0 else width, []).append(row)
    return groups


def _draw(sequences: Ordered[Sequence], logits: Tensor, width: int) -> Tensor:
    """Draw by inverting the cumulative distribution, in float64. `width` as in `_rows_to_draw`."""
    settings = [sequence.request.sampling for sequence in sequences]
    scaled = logits.double() / _column([sampling.temperature for sampling in settings], logits)
    best, ids = scaled.topk(width, dim=-1) if width else (scaled, None)
    weights = best.softmax(dim=-1)
    if width:
        before = weights.cumsum(dim=-1) - weights
        nucleus = before < _column([sampling.top_p for sampling in settings], logits)
        nucleus[:, 0] = True
        weights = weights * nucleus
    cumulative = weights.cumsum(dim=-1)
    draws = [uniform(sequence.request.sampling.seed, sequence.answered) for sequence in sequences]
    choice = torch.searchsorted(cumulative, _column(draws, logits) * cumulative[:, -1:], right=True)
    return choice.squeeze(-1) if ids is None else ids.gather(-1, choice).squeeze(-1)


def _column(values: list[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=like.device).unsqueeze(-1)


def _penalize(row: Tensor, sequence: Sequence) -> None:
    """Make what the prompt and the answer hold less likely, as transformers' RepetitionPenaltyLogitsProcessor does."""
    penalty = sequence.request.sampling.repetition_penalty
    seen = torch.tensor(sorted(set(sequence.tokens)), device=row.device)
    scores = row[seen]
    row[seen] = torch.where(scores < 0, scores * penalty, scores / penalty)
