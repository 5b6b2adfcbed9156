"""The executor with its graphs: the contract, greedy tokens of transformers, graphs and look-ahead without effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from parley_worker.cuda.executor import CudaExecutor, Limits
from parley_worker.cuda.runner import CudaRunner
from parley_worker.models.loader import load_model
from parley_worker.scheduler.request import Request, Sampling
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.checkpoints import all_cases, write_checkpoint
from parley_worker.testing.executors import ExecutorContract
from parley_worker.testing.lookahead import drive
from parley_worker.testing.oracle import Oracle
from parley_worker.testing.segments import Blocks, make_batch, make_tokens

CUDA = torch.device("cuda")
CASES = all_cases()
GREEDY = Sampling(temperature=0.0, top_k=0, top_p=1.0, repetition_penalty=1.0, seed=0)
SAMPLED = Sampling(temperature=0.8, top_k=20, top_p=0.9, repetition_penalty=1.0, seed=3)


class TestCudaExecutor(ExecutorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, model_folder: Path) -> CudaExecutor:
        return CudaExecutor(load_model(model_folder, torch.float32, CUDA), cls.BLOCKS, Limits(8, 512, 160))

    def poison(self, executor: Any) -> None:
        executor.cache.keys.fill_(torch.nan)
        executor.cache.values.fill_(torch.nan)


def answer(folder: Path, sampling: Sampling, *, lookahead: bool, graphs: bool = True) -> list[list[int]]:
    """What 12 requests of different lengths are answered, 8 of them at once in few blocks."""
    model, blocks = load_model(folder, torch.float32, CUDA), 40
    runner = CudaRunner(CudaExecutor(model, blocks, Limits(8, 72, 160), graphs=graphs))
    scheduler = Scheduler(blocks, 8, 160, 64, lookahead=lookahead, share=not model.config.needs_lengths)
    answers: dict[str, list[int]] = {}
    for index in range(12):
        prompt = make_tokens(5 + 9 * index, seed=index)
        scheduler.add(Request(prompt, 0, 10 + index, frozenset(), sampling, id=str(index)))
        answers[str(index)] = []
    for output in drive(scheduler, runner, lookahead=lookahead):
        assert output.token_id is not None, output.error
        answers[output.id].append(output.token_id)
    scheduler.check_integrity()
    return list(answers.values())


@pytest.mark.parametrize("case", CASES)
def test_greedy_tokens_are_those_of_transformers(case: str, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", **CASES[case])
    oracle = Oracle(folder)
    expected = [oracle.answer(make_tokens(5 + 9 * index, seed=index), 10 + index) for index in range(12)]
    assert answer(folder, GREEDY, lookahead=True) == expected


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED])
def test_neither_graphs_nor_a_step_in_flight_change_an_answer(sampling: Sampling, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    expected = answer(folder, sampling, lookahead=False, graphs=False)
    assert answer(folder, sampling, lookahead=False) == expected
    assert answer(folder, sampling, lookahead=True) == expected


def test_a_graph_computes_what_its_launches_compute(tmp_path: Path) -> None:
    model = load_model(write_checkpoint(tmp_path / "model"), torch.float32, CUDA)
    blocks = Blocks(32)
    texts = [blocks.text(make_tokens(size, size)) for size in (3, 40, 90)]
    found = []
    for graphs in (True, False):
        executor = CudaExecutor(model, 32, Limits(8, 256, 160), graphs=graphs)
        if graphs:
            executor.capture()
        executor.execute(make_batch([text.part(0, len(text.tokens) - 1) for text in texts]))
        # The same graph for other lengths: a step of padding was captured.
        found.append(executor.execute(make_batch([text.part(len(text.tokens) - 1) for text in texts])).clone())
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)
