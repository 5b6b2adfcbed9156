"""The native executor keeps to the contract of all executors, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from parley_worker.engine.errors import EngineConfigError
from parley_worker.engine.torch_executor import TorchExecutor
from parley_worker.models.loader import load_model
from parley_worker.native.executor import NativeExecutor
from parley_worker.scheduler.assembly import Rows, list_rows
from parley_worker.scheduler.assembly import make_batch as assemble
from parley_worker.scheduler.batch import Batch
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.checkpoints import all_cases, write_checkpoint
from parley_worker.testing.executors import ExecutorContract
from parley_worker.testing.native import open_executor, poison
from parley_worker.testing.rounded import RoundedAttention
from parley_worker.testing.segments import Blocks, make_batch, make_tokens
from parley_worker.testing.stepping import Guesses, advance, request

CASES = all_cases()


class TestNativeExecutor(ExecutorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, model_folder: Path) -> NativeExecutor:
        return open_executor(model_folder, cls.BLOCKS, int8=False)

    def poison(self, executor: NativeExecutor) -> None:
        poison(executor)


class TestNativeInt8(ExecutorContract):
    """Keys and values in bfloat16, products in int8: the sequences keep their bits all the same."""

    error = 3.0

    @pytest.fixture(
        scope="class", params=["llama", "llama, tied", "mistral, sliding", "qwen3", "smollm3, sliding", "rope: dynamic"]
    )
    @classmethod
    def model_folder(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return write_checkpoint(tmp_path_factory.mktemp("model"), **CASES[request.param])

    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, model_folder: Path) -> NativeExecutor:
        return open_executor(model_folder, cls.BLOCKS, int8=True)

    def poison(self, executor: NativeExecutor) -> None:
        poison(executor)


@pytest.mark.parametrize("name", ["llama", "qwen3, sliding, biases", "smollm3, sliding"])
def test_int8_is_what_torch_computes_in_int8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With attention in bfloat16, which decides of how later numbers are rounded to int8."""
    folder = write_checkpoint(tmp_path / "model", **{**CASES[name], "tie_word_embeddings": False})
    reference = TorchExecutor(load_model(folder, torch.float32, torch.device("cpu"), int8=True), 10)
    exact, ours = open_executor(folder, 10, int8=False), open_executor(folder, 10, int8=True)
    monkeypatch.setattr(reference, "_attention", RoundedAttention(ours.config))
    batch = make_batch([Blocks(10).text(make_tokens(150, seed=1)).part()])
    expected, scores, float32 = (executor.execute(batch).clone() for executor in (reference, ours, exact))
    ours_off, theirs_off = scores - float32, expected - float32
    assert torch.corrcoef(torch.stack((ours_off.flatten(), theirs_off.flatten())))[0, 1] > 0.95
    assert 0.95 < ours_off.std() / theirs_off.std() < 1.05


@pytest.mark.parametrize("file_dtype", [torch.bfloat16, torch.float16])
def test_weights_of_16_bits_stay_so_and_count_as_float32(tmp_path: Path, file_dtype: torch.dtype) -> None:
    halves = write_checkpoint(tmp_path / "halves", file_dtype=file_dtype)
    batch = make_batch([Blocks(10).text(make_tokens(150, seed=1)).part()])
    executor = open_executor(halves, 10, int8=False)
    expected = TorchExecutor(load_model(halves, torch.float32, torch.device("cpu")), 10).execute(batch)
    torch.testing.assert_close(executor.execute(batch), expected, rtol=0, atol=5e-4)
    wide = write_checkpoint(tmp_path / "wide")
    assert executor.weight_bytes < 0.6 * open_executor(wide, 10, int8=False).weight_bytes


def batch_of(**changes: object) -> Batch:
    """Two segments of two rows each."""
    fields: dict[str, object] = {
        "tokens": np.array([1, 2, 3, 4]),
        "positions": np.array([0, 1, 16, 17]),
        "lengths": np.array([2, 2, 18, 18]),
        "starts": np.array([0, 2, 4], np.int32),
        "blocks": np.array([[0, 0], [1, 2]], np.int32),
        "draws": np.array([1, 3]),
    }
    return Batch(**{**fields, **changes})  # type: ignore[arg-type]


BAD = {
    "token": {"tokens": np.array([1, 2, 3, 10**6])},
    "token below 0": {"tokens": np.array([1, -1, 3, 4])},
    "tokens": {"tokens": np.array([1, 2, 3])},
    "lengths": {"lengths": np.array([1, 2, 3])},
    "position behind the table": {"positions": np.array([0, 1, 31, 32])},
    "position below 0": {"positions": np.array([-1, 0, 16, 17])},
    "position behind the window": {
        "positions": np.array([0, 1, 159, 160]),
        "blocks": np.zeros((2, 11), np.int32),
    },
    "positions with a gap": {"positions": np.array([0, 2, 16, 17])},
    "block": {"blocks": np.array([[0, 0], [1, 10]], np.int32)},
    "block below 0": {"blocks": np.array([[0, 0], [1, -1]], np.int32)},
    "segments": {"starts": np.array([0, 4], np.int32)},
    "an empty segment": {"starts": np.array([0, 0, 4], np.int32), "positions": np.arange(4)},
    "a segment beyond the rows": {"starts": np.array([0, 6, 4], np.int32), "positions": np.arange(4)},
    "segments that end early": {"starts": np.array([0, 2, 3], np.int32)},
    "draw": {"draws": np.array([1, 4])},
    "draw below 0": {"draws": np.array([-1, 3])},
    "a draw twice": {"draws": np.array([1, 3, 3])},
    "draws that do not ascend": {"draws": np.array([3, 1])},
}


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> NativeExecutor:
    return open_executor(write_checkpoint(tmp_path_factory.mktemp("model")), 10, int8=False)


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_what_is_out_of_range_never_reaches_the_library(executor: NativeExecutor, changes: dict[str, object]) -> None:
    assert executor.execute(batch_of()).isfinite().all()
    with pytest.raises(ValueError, match=r"."):
        executor.execute(batch_of(**changes))


def test_an_empty_batch_has_no_scores(executor: NativeExecutor) -> None:
    nothing = np.array([], np.int64)
    empty = Batch(nothing, nothing, nothing, np.zeros(1, np.int32), np.zeros((0, 0), np.int32), nothing)
    assert executor.execute(empty).shape == (0, executor.config.vocab_size)


def test_arrays_of_other_types_and_layouts_are_taken(executor: NativeExecutor) -> None:
    expected = executor.execute(batch_of()).clone()
    blocks = np.array([[0, 9, 0, 9], [1, 9, 2, 9]], np.int64)[:, ::2]
    found = executor.execute(batch_of(tokens=np.array([1, 2, 3, 4], np.int32), blocks=blocks))
    assert torch.equal(found, expected)


def test_a_step_in_lists_is_the_same_as_its_batch(executor: NativeExecutor) -> None:
    scheduler = Scheduler(10, 4, 64, step_tokens=40, proposer=Guesses(7, 8))
    scheduler.add(request("a", (5, 6) * 9, 9))
    advance(scheduler, 3)
    scheduler.add(request("b", (9,) * 20, 9))
    step = scheduler.schedule(0.0)
    assert (step.decode_rows, step.rows) == (3, 23)
    expected = executor.execute(assemble(step)).clone()
    assert torch.equal(executor.run(list_rows(step), step.tables), expected)
    assert expected.isfinite().all()


@pytest.mark.parametrize("table", [-1, 3])
def test_a_table_that_is_not_there_never_reaches_the_library(executor: NativeExecutor, table: int) -> None:
    rows = Rows([1], [0], [1], [0, 1], [0], [table], 1)
    with pytest.raises(ValueError, match="a table that is not there"):
        executor.run(rows, np.zeros((3, 1), np.int32))


@pytest.mark.parametrize("blocks", [np.zeros((2, 2)), np.zeros(4, np.int32), np.zeros((2, 2), np.int32).T])
def test_tables_that_the_library_cannot_read_are_refused(executor: NativeExecutor, blocks: Any) -> None:
    with pytest.raises(ValueError, match="block tables"):
        executor.run(Rows([1], [0], [1], [0, 1], [0], [0], 1), blocks)


def test_memory_that_holds_no_block_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    with pytest.raises(EngineConfigError, match="kv_bytes: 100 bytes do not hold a block of 16 tokens"):
        NativeExecutor(folder, int8=False, kv_bytes=100)
