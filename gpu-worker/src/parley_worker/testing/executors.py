"""What every executor keeps to: the contract of `Executor` as tests."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from parley_worker.engine.executor import Executor
from parley_worker.scheduler.batch import BLOCK_SIZE
from parley_worker.testing.checkpoints import all_cases, write_checkpoint
from parley_worker.testing.oracle import Oracle
from parley_worker.testing.segments import Blocks, Part, Text, make_batch, make_tokens

CASES = all_cases()
WINDOW = 160


class ExecutorHarness(ABC):
    """A subclass gives `poison` and the fixture `opened` of its class, an Executor of BLOCKS blocks on `model_folder`.

    error: how far scores may be from transformers', which are around 10. tolerance: how far from each other, if the
    executor is not `invariant`.
    """

    BLOCKS: ClassVar[int] = 48
    error: ClassVar[float] = 5e-4
    tolerance: ClassVar[float] = 5e-4

    @pytest.fixture(scope="class", params=CASES)
    @classmethod
    def model_folder(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A checkpoint of each architecture and rope, with a window of 160 tokens."""
        return write_checkpoint(tmp_path_factory.mktemp("model"), **CASES[request.param])

    @abstractmethod
    def poison(self, executor: Any) -> None:
        """Fill all blocks with NaN."""

    @pytest.fixture
    def executor(self, opened: Executor) -> Executor:
        """Every block has been used, and what is in it is not finite."""
        self.poison(opened)
        return opened

    def compute(self, executor: Executor, *parts: Part, padding: Sequence[int] = (0,)) -> list[Tensor]:
        """The scores of each part [its draws, vocab], of one step."""
        scores = executor.execute(make_batch(parts, padding))
        assert scores.dtype is torch.float32
        return list(torch.split(scores.clone().cpu(), [len(part.draws) for part in parts]))

    def whole(self, executor: Executor, text: Text) -> Tensor:
        """The scores after each token of a text, computed alone in one step."""
        return self.compute(executor, text.part())[0]

    def assert_same(self, executor: Executor, scores: Tensor, expected: Tensor) -> None:
        assert torch.isfinite(expected).all()
        if executor.invariant:
            assert torch.equal(scores, expected)
        else:
            torch.testing.assert_close(scores, expected, rtol=0, atol=self.tolerance)


class SequencesContract(ExecutorHarness):
    """A sequence has the same scores however it is computed."""

    def test_scores_are_those_of_transformers(self, executor: Executor, model_folder: Path) -> None:
        tokens = make_tokens(WINDOW, seed=1)
        scores = self.whole(executor, Blocks(self.BLOCKS).text(tokens))
        torch.testing.assert_close(scores, Oracle(model_folder).scores(tokens), rtol=0, atol=self.error)

    @pytest.mark.parametrize("sizes", [(1, 7, 8, 1, 40), (16, 16, 16), (50, 3, 60, 1, 1), (31, 2), (33, 95)])
    def test_in_chunks(self, executor: Executor, sizes: tuple[int, ...]) -> None:
        """From places inside of blocks and at their borders."""
        blocks = Blocks(self.BLOCKS)
        expected = self.whole(executor, blocks.text(make_tokens(WINDOW, seed=1)))
        text = blocks.text(make_tokens(WINDOW, seed=1))
        parts = [self.compute(executor, part)[0] for part in text.cut(sizes)]
        self.assert_same(executor, torch.cat(parts), expected)

    def test_token_by_token(self, executor: Executor) -> None:
        blocks, tokens = Blocks(self.BLOCKS), make_tokens(50, seed=2)
        expected = self.whole(executor, blocks.text(tokens))
        parts = [self.compute(executor, part)[0] for part in blocks.text(tokens).cut([1] * len(tokens))]
        self.assert_same(executor, torch.cat(parts), expected)

    @pytest.mark.parametrize("seed", range(3))
    def test_among_others(self, executor: Executor, seed: int) -> None:
        """Sequences of all lengths, cut at random, in any order within a step."""
        blocks, rng = Blocks(self.BLOCKS, seed), random.Random(seed)
        texts = [blocks.text(make_tokens(size, size)) for size in (WINDOW, 90, 33, 32, 5, 1)]
        expected = [self.whole(executor, text) for text in texts]
        self.poison(executor)
        found: list[list[Tensor]] = [[] for _ in texts]
        cuts = [list(text.cut(rng.choice([1, 1, 1, 2, 9, 40]) for _ in text.tokens)) for text in texts]
        while any(cuts):
            chosen = rng.sample(
                [index for index, parts in enumerate(cuts) if parts], k=rng.randint(1, sum(map(bool, cuts)))
            )
            for index, scores in zip(chosen, self.compute(executor, *(cuts[i].pop(0) for i in chosen)), strict=True):
                found[index].append(scores)
        for parts, wanted in zip(found, expected, strict=True):
            self.assert_same(executor, torch.cat(parts), wanted)

    def test_scores_of_some_rows_are_those_of_all(self, executor: Executor) -> None:
        blocks = Blocks(self.BLOCKS)
        one, other, silent = (blocks.text(make_tokens(size, size)) for size in (40, 70, 20))
        expected = [self.whole(executor, text) for text in (one, other)]
        parts = (one.part(draws=(0, 17, 39)), silent.part(draws=()), other.part(draws=(69,)))
        first, none, last = self.compute(executor, *parts)
        assert len(none) == 0
        self.assert_same(executor, first, expected[0][[0, 17, 39]])
        self.assert_same(executor, last, expected[1][69:])

    def test_a_step_without_draws_computes_its_rows(self, executor: Executor) -> None:
        text = Blocks(self.BLOCKS).text(make_tokens(40, seed=3))
        expected = self.whole(executor, text)
        self.poison(executor)
        assert self.compute(executor, text.part(0, 25, draws=()))[0].shape == (0, expected.shape[1])
        self.assert_same(executor, self.compute(executor, text.part(25))[0], expected[25:])

    def test_scores_belong_to_the_caller_until_the_next_step(self, executor: Executor) -> None:
        text = Blocks(self.BLOCKS).text(make_tokens(30, seed=4))
        expected = self.whole(executor, text)
        executor.execute(make_batch([text.part()])).fill_(torch.nan)
        self.assert_same(executor, self.whole(executor, text), expected)


class BlocksContract(ExecutorHarness):
    """Sequences meet in blocks only where their tables say so."""

    def test_wherever_the_blocks_are(self, executor: Executor) -> None:
        tokens = make_tokens(100, seed=5)
        expected = self.whole(executor, Text(tokens, tuple(range(7))))
        for table in ((6, 5, 4, 3, 2, 1, 0), (self.BLOCKS - 1, 0, 9, 3, 30, 1, 2)):
            self.poison(executor)
            self.assert_same(executor, self.whole(executor, Text(tokens, table)), expected)

    def test_padding_of_the_tables_is_not_read(self, executor: Executor) -> None:
        blocks = Blocks(self.BLOCKS)
        long, short = blocks.text(make_tokens(100, seed=6)), blocks.text(make_tokens(17, seed=7))
        parts = (long.part(), short.part())
        expected = self.compute(executor, *parts)
        for padding in ((self.BLOCKS - 1,), (short.blocks[0], 3, 2), long.blocks):
            self.poison(executor)
            for scores, wanted in zip(self.compute(executor, *parts, padding=padding), expected, strict=True):
                assert torch.equal(scores, wanted)

    @pytest.mark.parametrize("rows", [1, 20])
    def test_a_shared_prefix_is_read_by_all_and_changed_by_none(self, executor: Executor, rows: int) -> None:
        blocks, shared = Blocks(self.BLOCKS), make_tokens(2 * BLOCK_SIZE, seed=8)
        tokens = [shared + make_tokens(rows, seed) for seed in range(9, 12)]
        expected = [self.whole(executor, blocks.text(each))[len(shared) :] for each in tokens]
        first = blocks.text(tokens[0])
        self.compute(executor, first.part(0, len(shared)))
        texts = [first, *(blocks.text(each, first.blocks[:2]) for each in tokens[1:])]
        for _ in range(2):
            together = self.compute(executor, *(text.part(len(shared)) for text in texts))
            for scores, wanted in zip(together, expected, strict=True):
                self.assert_same(executor, scores, wanted)

    @pytest.mark.parametrize("rows", [1, 12])
    @pytest.mark.parametrize("sick_is_first", [False, True])
    def test_numbers_that_are_not_finite_stay_in_their_sequence(
        self, executor: Executor, rows: int, sick_is_first: bool
    ) -> None:
        """A healthy long sequence and a short one have the same bits beside a sick one as beside a healthy one."""
        blocks = Blocks(self.BLOCKS)
        sick, long, short = (blocks.text(make_tokens(size, size)) for size in (2 * BLOCK_SIZE, 90, 5 + rows))
        parts = [part(text, rows) for text in (long, short)]
        parts.insert(0 if sick_is_first else 2, Part(sick, BLOCK_SIZE, BLOCK_SIZE + rows, (BLOCK_SIZE,)))
        found = []
        for spoil in (False, True):
            self.poison(executor)
            self.compute(executor, sick.part(0, BLOCK_SIZE))
            if spoil:
                self.poison(executor)
            self.compute(executor, long.part(0, 90 - rows), short.part(0, 5))
            found.append(self.compute(executor, *parts))
        for healthy, beside, each in zip(*found, parts, strict=True):
            if each.text is sick:
                assert torch.isfinite(healthy).all()
                assert not torch.isfinite(beside).all(dim=-1).any()
            else:
                assert torch.isfinite(healthy).all()
                assert torch.equal(healthy, beside)


class ExecutorContract(SequencesContract, BlocksContract):
    """The whole contract."""


def part(text: Text, rows: int) -> Part:
    """The last rows of a text."""
    return text.part(len(text.tokens) - rows)
