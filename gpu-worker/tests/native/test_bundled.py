"""What the arithmetic costs the bundled model."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from parley_worker.engine.torch_executor import TorchExecutor
from parley_worker.models.loader import load_model
from parley_worker.native.library import Library
from parley_worker.settings import BUNDLED_MODEL
from parley_worker.testing.dialogues import encode_dialogues
from parley_worker.testing.native import open_executor
from parley_worker.testing.segments import Blocks, make_batch
from parley_worker.text.tokenizer import TextTokenizer

BLOCKS = 8


@pytest.fixture(scope="module")
def texts() -> list[tuple[int, ...]]:
    return encode_dialogues(TextTokenizer(BUNDLED_MODEL))


def predict(library: Library, texts: list[tuple[int, ...]], *, int8: bool) -> list[Tensor]:
    executor = open_executor(BUNDLED_MODEL, BLOCKS, int8=int8, library=library)
    return [executor.execute(make_batch([Blocks(BLOCKS).text(text).part()])).double() for text in texts]


def perplexity(texts: list[tuple[int, ...]], scores: list[Tensor]) -> float:
    losses = [
        -rows[:-1].log_softmax(dim=-1).gather(1, torch.tensor(text[1:]).unsqueeze(1))
        for rows, text in zip(scores, texts, strict=True)
    ]
    return math.exp(torch.cat(losses).mean())


def test_float32_is_what_torch_computes(library: Library, texts: list[tuple[int, ...]]) -> None:
    executor = TorchExecutor(load_model(BUNDLED_MODEL, torch.float32, torch.device("cpu")), BLOCKS)
    for scores, text in zip(predict(library, texts, int8=False), texts, strict=True):
        expected = executor.execute(make_batch([Blocks(BLOCKS).text(text).part()])).double()
        torch.testing.assert_close(scores, expected, rtol=0, atol=1e-4)


def test_int8_costs_next_to_nothing(library: Library, texts: list[tuple[int, ...]]) -> None:
    """Measured: a mean divergence of 0.0015 nats, and a perplexity of 12.73 where float32 has 12.75."""
    exact, rounded = (predict(library, texts, int8=int8) for int8 in (False, True))
    logs = [(p.log_softmax(dim=-1), q.log_softmax(dim=-1)) for p, q in zip(exact, rounded, strict=True)]
    divergence = torch.cat([(p.exp() * (p - q)).sum(dim=-1) for p, q in logs])
    assert 0 < divergence.mean() < 0.003
    assert abs(perplexity(texts, rounded) / perplexity(texts, exact) - 1) < 0.01
