"""Scores are the same bits on any number of threads, and the same tokens on any processor."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor

from parley_worker.native.executor import NativeExecutor
from parley_worker.native.library import Library
from parley_worker.native.processor import supported
from parley_worker.testing.checkpoints import all_cases, write_checkpoint
from parley_worker.testing.native import open_executor
from parley_worker.testing.segments import Blocks, make_batch, make_tokens

BLOCKS = 48
CASES = all_cases()


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "model", **CASES[request.param])


def run(executor: NativeExecutor, seed: int = 0) -> Tensor:
    """The scores of a busy batch that follows on another."""
    rng, blocks = random.Random(seed), Blocks(BLOCKS, seed)
    texts = [blocks.text(make_tokens(size, size)) for size in (150, 90, 33, 32, 7, 3)]
    begins = [rng.randrange(len(text.tokens)) for text in texts]
    heads = [text.part(0, begin, ()) for text, begin in zip(texts, begins, strict=True) if begin]
    executor.execute(make_batch(heads))
    return executor.execute(make_batch([text.part(begin) for text, begin in zip(texts, begins, strict=True)])).clone()


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("folder", ["llama", "qwen3, sliding, biases", "mistral, sliding"], indirect=True)
def test_threads_change_no_bit(folder: Path, int8: bool) -> None:
    executor = open_executor(folder, BLOCKS, int8=int8)
    expected = run(executor)
    for threads in (2, 3, 5, 1):
        executor.set_threads(threads)
        assert executor.threads == threads
        assert torch.equal(run(executor), expected)


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("folder", ["llama, tied", "qwen3", "rope: yarn"], indirect=True)
def test_every_variant_of_the_library_gives_the_same_tokens(folder: Path, int8: bool) -> None:
    found = [run(open_executor(folder, BLOCKS, int8=int8, library=Library(variant))) for variant in supported()]
    for scores in found[1:]:
        # Where a last bit decides how a number is rounded to int8 scores differ by what a step of int8 makes.
        torch.testing.assert_close(scores, found[0], rtol=0, atol=0.3 if int8 else 1e-4)
        first, second = found[0].topk(2).values.unbind(dim=-1)
        clear = first - second > (0.3 if int8 else 1e-3)
        assert clear.float().mean() > 0.5
        assert torch.equal(scores.argmax(dim=-1)[clear], found[0].argmax(dim=-1)[clear])
