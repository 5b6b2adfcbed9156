"""Small random checkpoints, as transformers writes them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM

from parley_worker.core import FinishReason
from parley_worker.engine.runner import Runner
from parley_worker.models.decoder import Decoder
from parley_worker.models.loader import load_model
from parley_worker.scheduler.request import Request
from parley_worker.scheduler.scheduler import Scheduler

TEMPLATE = (
    "{% for message in messages %}{{ '<|' ~ message.role ~ '|>' ~ message.content ~ '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
CORPUS = ["a lantern is a lamp that can be carried", "to wander means to walk without a goal", "naïve café 🦊 你好"]

Answers = dict[str, tuple[list[int], FinishReason | None]]
Drive = Callable[..., Answers]


def make_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    names = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return tokenizer


class Oracle:
    """transformers' own answers from a folder, in float32."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        parameters = getattr(self._model.config, "rope_parameters", None) or {}
        # A model with dynamic rope goes on with the frequencies of the longest sequence that it has met.
        self._remembers = parameters.get("rope_type") == "dynamic"

    def answer(self, prompt: Iterable[int], max_tokens: int, *, eos: int | None = None, **settings: Any) -> list[int]:
        if self._remembers:
            self._model = AutoModelForCausalLM.from_pretrained(self._folder, dtype=torch.float32)
        ids = torch.tensor([list(prompt)])
        answer = self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=max_tokens,
            eos_token_id=eos,
            pad_token_id=0,
            **settings,
        )
        return [int(token) for token in answer[0, ids.shape[1] :]]


def write_checkpoint(
    folder: Path,
    seed: int = 0,
    *,
    architecture: str = "llama",
    file_dtype: torch.dtype = torch.float32,
    shard_size: str = "5GB",
    **config: Any,
) -> Path:
    """A random model with a byte-level tokenizer and a chat template."""
    tokenizer = make_tokenizer()
    sizes: dict[str, Any] = {
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 160,
        "vocab_size": tokenizer.get_vocab_size(),
        "eos_token_id": tokenizer.token_to_id("<|end|>"),
        "bos_token_id": None,
        "pad_token_id": None,
        "initializer_range": 0.3,
    }
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **{**sizes, **config}))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
        elif name.endswith("norm.weight"):
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    model.to(file_dtype).save_pretrained(folder, max_shard_size=shard_size)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE, "eos_token": "<|end|>"}))
    return folder


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
        slots: int = 8,
        window: int = 160,
        budget: int = 512,
        dtype: torch.dtype = torch.float32,
        spoil: Callable[[Decoder], None] = lambda model: None,
    ) -> Answers:
        scheduler = Scheduler(slots, window, budget)
        model = load_model(folder, dtype, torch.device("cpu"))
        spoil(model)
        runner = Runner(model, slots, window)
        answers: Answers = {}
        step_number = 0
        while step_number <= max(arrivals) or not scheduler.idle:
            for request in arrivals.get(step_number, []):
                scheduler.add(request)
            step = scheduler.schedule()
            for output in scheduler.update(step, runner.run(step)):
                tokens = answers.get(output.id, ([], None))[0]
                answers[output.id] = (
                    tokens + ([] if output.token_id is None else [output.token_id]),
                    output.finish_reason,
                )
            step_number += 1
        return answers

    return run
