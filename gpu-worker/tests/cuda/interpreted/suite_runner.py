"""The runner behind a scheduler, with and without a step in flight."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from parley_worker.cuda.attention import Tiling
from parley_worker.cuda.executor import CudaExecutor, Limits
from parley_worker.cuda.runner import CudaRunner
from parley_worker.models.loader import load_model
from parley_worker.scheduler.request import Request, Sampling
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.checkpoints import write_checkpoint
from parley_worker.testing.lookahead import drive
from parley_worker.testing.oracle import Oracle
from parley_worker.testing.sampling import GREEDY
from parley_worker.testing.segments import make_tokens

BLOCKS, WINDOW = 16, 64
SAMPLED = Sampling(temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0, seed=7)
PENALIZED = Sampling(temperature=0.0, top_k=0, top_p=1.0, repetition_penalty=1.5, seed=0)
REQUESTS = [
    Request(make_tokens(18, seed=1), 0, 5, frozenset(), GREEDY, id="greedy"),
    Request(make_tokens(3, seed=2), 0, 3, frozenset(), SAMPLED, id="sampled"),
    Request(make_tokens(4, seed=3), 0, 3, frozenset(), PENALIZED, id="penalized"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("model"), num_hidden_layers=1)


def answer(folder: Path, *, lookahead: bool) -> dict[str, list[int]]:
    model = load_model(folder, torch.float32, torch.device("cpu"))
    limits = Limits(segments=4, rows=32, window=WINDOW)
    runner = CudaRunner(CudaExecutor(model, BLOCKS, limits, tiling=Tiling(4, 16, 16, 32), graphs=False))
    scheduler = Scheduler(BLOCKS, 4, WINDOW, 16, lookahead=lookahead)
    for request in REQUESTS:
        scheduler.add(request)
    answers: dict[str, list[int]] = {request.id: [] for request in REQUESTS}
    for output in drive(scheduler, runner, lookahead=lookahead):
        assert output.token_id is not None
        answers[output.id].append(output.token_id)
    scheduler.check_integrity()
    return answers


def test_a_step_in_flight_changes_no_answer(folder: Path) -> None:
    waiting = answer(folder, lookahead=False)
    assert answer(folder, lookahead=True) == waiting
    assert [len(tokens) for tokens in waiting.values()] == [5, 3, 3]
    assert waiting["greedy"] == Oracle(folder).answer(REQUESTS[0].token_ids, 5)
    penalized = Oracle(folder).answer(REQUESTS[2].token_ids, 3, repetition_penalty=1.5)
    assert waiting["penalized"] == penalized
