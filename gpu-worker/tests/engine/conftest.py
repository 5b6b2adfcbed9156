"""Small random checkpoints, as transformers writes them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from parley_worker.core import FinishReason
from parley_worker.engine.runner import Runner
from parley_worker.engine.torch_executor import TorchExecutor
from parley_worker.models.decoder import Decoder
from parley_worker.models.loader import load_model
from parley_worker.scheduler.paged import PagedScheduler
from parley_worker.scheduler.request import Request
from parley_worker.testing.checkpoints import write_checkpoint
from parley_worker.testing.oracle import Oracle

Answers = dict[str, tuple[list[int], FinishReason | None]]
Drive = Callable[..., Answers]


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
    """Its window takes minutes to fill."""
    return write_checkpoint(tmp_path_factory.mktemp("wide"), max_position_embeddings=60_000)


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


@pytest.fixture
def drive() -> Drive:
    """Runs a model on requests, each of which arrives before the step of its key, until all are answered."""

    def run(
        folder: Path,
        arrivals: Mapping[int, list[Request]],
        *,
        capacity: int = 8,
        window: int = 160,
        budget: int = 512,
        blocks: int = 80,
        dtype: torch.dtype = torch.float32,
        spoil: Callable[[Decoder], None] = lambda model: None,
    ) -> Answers:
        model = load_model(folder, dtype, torch.device("cpu"))
        spoil(model)
        shares = not model.config.needs_lengths
        scheduler = PagedScheduler(blocks, capacity, window, budget, share=shares)
        runner = Runner(TorchExecutor(model, blocks))
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
            step_number += 1
        scheduler.check_integrity()
        return answers

    return run
