"""Small random checkpoints, as transformers writes them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from parley_worker.core import FinishReason
from parley_worker.engine.executor import Executor
from parley_worker.engine.runner import Runner
from parley_worker.engine.torch_executor import TorchExecutor
from parley_worker.models.config import read_model_config
from parley_worker.models.loader import load_model
from parley_worker.native.executor import NativeExecutor
from parley_worker.native.library import Library, block_bytes
from parley_worker.scheduler.proposer import Proposer
from parley_worker.scheduler.request import Request
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.scheduler.stats import StepStats
from parley_worker.testing.checkpoints import write_checkpoint
from parley_worker.testing.oracle import Oracle

Answers = dict[str, tuple[list[int], FinishReason | None]]
Drive = Callable[..., Answers]
Open = Callable[[Path, int], Executor]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """These models are too small to share a step between cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def wide_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing ends an answer but its window, which takes many seconds to fill."""
    return write_checkpoint(tmp_path_factory.mktemp("wide"), max_position_embeddings=60_000, eos_token_id=None)


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(checkpoint, tmp_path / "copy")


@pytest.fixture
def edit() -> Callable[..., None]:
    """Changes keys of a JSON file of a folder: `edit(folder, [name,] **changes)`. config.json unless told otherwise."""

    def change(folder: Path, name: str = "config.json", **changes: Any) -> None:
        path = folder / name
        values = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**values, **changes}))

    return change


@pytest.fixture
def new_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Writes a checkpoint of one's own: `new_checkpoint(**config)`."""
    return lambda **config: write_checkpoint(tmp_path / "checkpoint", **config)


@pytest.fixture(scope="session")
def new_oracle() -> type[Oracle]:
    return Oracle


def open_torch(folder: Path, blocks: int) -> Executor:
    return TorchExecutor(load_model(folder, torch.float32, torch.device("cpu")), blocks)


def open_native(folder: Path, blocks: int) -> Executor:
    config, library = read_model_config(folder), Library()
    size = block_bytes(library, config.layers, config.kv_heads, config.head_dim, bf16=False)
    return NativeExecutor(folder, int8=False, kv_bytes=blocks * size, library=library)


@pytest.fixture(params=[open_native, open_torch])
def open_executor(request: pytest.FixtureRequest) -> Open:
    """Opens a checkpoint in float32 with so many blocks, on each executor of this machine."""
    return request.param


@pytest.fixture
def drive(open_executor: Open) -> Drive:
    """Runs a model on requests, each of which arrives before the step of its key, until all are answered."""

    def run(
        folder: Path,
        arrivals: Mapping[int, list[Request]],
        *,
        capacity: int = 8,
        window: int = 160,
        budget: int = 512,
        blocks: int = 80,
        proposer: Proposer | None = None,
        seen: list[StepStats] | None = None,
    ) -> Answers:
        shares = not read_model_config(folder).needs_lengths
        scheduler = Scheduler(blocks, capacity, window, budget, share=shares, proposer=proposer)
        runner = Runner(open_executor(folder, blocks))
        answers: Answers = {}
        step_number = 0
        while step_number <= max(arrivals) or not scheduler.idle:
            for request in arrivals.get(step_number, []):
                scheduler.add(request)
            step = scheduler.schedule(0.0)
            for output in scheduler.update(step, runner.launch(step).read()):
                tokens = answers.get(output.id, ([], None))[0]
                answers[output.id] = (
                    tokens + ([] if output.token_id is None else [output.token_id]),
                    output.finish_reason,
                )
            if seen is not None and scheduler.stats:
                seen.append(scheduler.stats)
            step_number += 1
        scheduler.check_integrity()
        return answers

    return run


@pytest.fixture
def poison() -> Callable[[Path, int], None]:
    """Makes a token one whose values are infinite, and no score after it a number: `poison(folder, token)`."""

    def spoil(folder: Path, token: int) -> None:
        path = folder / "model.safetensors"
        weights = load_file(path)
        embedding, value = (weights[f"model.{name}.weight"] for name in ("embed_tokens", "layers.0.self_attn.v_proj"))
        embedding[:, 0] = 0
        embedding[token] = torch.eye(embedding.shape[1])[0]
        value[:, 0] = torch.finfo(torch.float32).max
        save_file(weights, path, {"format": "pt"})

    return spoil
