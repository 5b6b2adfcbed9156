"""A model without tensors, whose answers are right only if every key and value is where a step says it is."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

import numpy as np
from msgspec.structs import replace

from parley_worker.scheduler.assembly import make_batch
from parley_worker.scheduler.batch import BLOCK_SIZE, Batch
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.request import Drawn, Request
from parley_worker.scheduler.step import Step

VOCABULARY = 4


class BlockModel:
    """Computes steps on `blocks` blocks. The cell of a token depends, as keys and values do, on all tokens up to it.

    A row reads the cells of its whole sequence through the block table: what steps before have written, and what its
    own segment writes. What others write in the same step it must not rely on, so that is there only after the step.
    """

    def __init__(self, blocks: int) -> None:
        self._cells = [[-1] * BLOCK_SIZE for _ in range(blocks)]
        self._latest: list[int] = []

    def run(self, step: Step, rounds: int = 1) -> list[Drawn | None]:
        """Compute a step, as an executor that looks ahead: its draws, round by round."""
        batch, draws = make_batch(step), step.draws
        drawn = self._run(batch, draws)
        tables = step.tables[[segment.sequence.row for segment in step.segments]]
        for ahead in range(1, rounds):
            batch = replace(batch, tokens=np.array(self._latest), positions=batch.positions + 1, blocks=tables)
            drawn += self._run(batch, [replace(draw, index=draw.index + ahead) for draw in draws])
        return drawn

    def _run(self, batch: Batch, draws: Ordered[Draw]) -> list[Drawn | None]:
        tokens = [int(token) if token >= 0 else self._latest[-1 - int(token)] for token in batch.tokens]
        written: dict[tuple[int, int], int] = {}
        contexts: dict[int, int] = {}
        for segment in range(len(batch.starts) - 1):
            written |= self._compute(batch, segment, tokens, contexts)
        if len(written) != len(tokens):
            raise AssertionError("two rows of a step are written to the same place")
        for (block, offset), cell in written.items():
            self._cells[block][offset] = cell
        pairs = zip(batch.draws, draws, strict=True)
        self._latest = [choose(contexts[int(row)], draw) for row, draw in pairs]
        return [Drawn(token) for token in self._latest]

    def _compute(
        self, batch: Batch, segment: int, tokens: Ordered[int], contexts: dict[int, int]
    ) -> dict[tuple[int, int], int]:
        rows = range(batch.starts[segment], batch.starts[segment + 1])
        places = [_place(batch, segment, position) for position in range(batch.positions[rows[-1]] + 1)]
        cells = [self._cells[block][offset] for block, offset in places[: batch.positions[rows[0]]]]
        for row in rows:
            cells.append(_cell(cells, tokens[row]))
            contexts[row] = hash(tuple(cells))
        return dict(zip(places[-len(rows) :], cells[-len(rows) :], strict=True))


def choose(context: int, draw: Draw) -> int:
    """The token that is drawn: by the scores, the seed, the index, and by the history where there are penalties."""
    history = (draw.prompt, *draw.tokens) if draw.sampling.has_penalties else ()
    return hash((context, draw.sampling.seed, draw.index, history)) % VOCABULARY


def answer(request: Request, length: int) -> list[int]:
    """The first `length` tokens that follow a request, whatever ends it."""
    tokens, cells = list(request.token_ids), list[int]()
    prompt = len(tokens) - request.answered
    while len(tokens) < len(request.token_ids) + length:
        while len(cells) < len(tokens):
            cells.append(_cell(cells, tokens[len(cells)]))
        draw = Draw(request.sampling, len(tokens) - prompt, tokens, prompt)
        tokens.append(choose(hash(tuple(cells)), draw))
    return tokens[len(request.token_ids) :]


def _cell(before: Ordered[int], token: int) -> int:
    return hash((before[-1] if before else 0, len(before), token))


def _place(batch: Batch, segment: int, position: int) -> tuple[int, int]:
    return int(batch.blocks[segment, position // BLOCK_SIZE]), position % BLOCK_SIZE
