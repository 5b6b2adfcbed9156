"""Offline batches: every line gets its answer or its error."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from parley_kit.errors import BadInput
from parley_worker.backends.torch import TorchBackend, open_torch_backend
from parley_worker.config import EngineConfig
from parley_worker.generate.batch import _answer_all, generate_file
from parley_worker.generate.line import parse_line, read_line
from parley_worker.generate.progress import Progress, Silent

pytestmark = pytest.mark.asyncio(loop_scope="module")

GREEDY = {"max_tokens": 8, "temperature": 0, "ignore_eos": True}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend(checkpoint: Path) -> AsyncIterator[TorchBackend]:
    async with open_torch_backend(EngineConfig(checkpoint, capacity=3, threads=1)) as opened:
        yield opened


async def answer(
    backend: TorchBackend, tmp_path: Path, content: str | bytes, progress: Progress | None = None
) -> list[dict[str, Any]]:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    with source.open("rb") as lines, target.open("w", encoding="utf-8", newline="\n") as answers:
        await _answer_all(backend, lines, answers, progress or Silent())
    return [json.loads(line) for line in target.read_text("utf-8").split("\n")[:-1]]


async def test_prompts_of_every_kind_are_answered(backend: TorchBackend, tmp_path: Path) -> None:
    text = {"id": "text", "prompt": "hello", **GREEDY}
    prompt_ids = list(await backend.encode_text("hello"))
    ids = {"id": 2, "prompt_ids": prompt_ids, **GREEDY}
    chat = {
        "id": "chat",
        "messages": [{"role": "user", "content": "hello"}],
        "seed": 1,
        "stop": "x" * 30,
        "max_tokens": 4,
    }
    lines = "\n".join([json.dumps(text), "", "  ", json.dumps(ids) + "\r", json.dumps(chat)])
    answers = {item["id"]: item for item in await answer(backend, tmp_path, lines)}
    assert set(answers) == {"text", 2, "chat"}
    assert answers["text"].pop("id") != answers[2].pop("id")
    assert answers["text"] == answers[2]
    assert answers["text"]["finish_reason"] == "length"
    assert len(answers["text"]["token_ids"]) == answers["text"]["usage"]["completion_tokens"] == 8
    assert answers["text"]["usage"]["prompt_tokens"] == len(prompt_ids)


async def test_many_lines_keep_their_answers_apart(backend: TorchBackend, tmp_path: Path) -> None:
    lines = [{"id": str(i), "prompt": "a" * (i + 1), "max_tokens": i % 5 + 1, "ignore_eos": True} for i in range(30)]
    answers = await answer(backend, tmp_path, "\n".join(map(json.dumps, lines)))
    expected = {str(i): (i % 5 + 1, len(await backend.encode_text("a" * (i + 1)))) for i in range(30)}
    got = {item["id"]: (item["usage"]["completion_tokens"], item["usage"]["prompt_tokens"]) for item in answers}
    assert got == expected


async def test_bad_lines_fail_alone(backend: TorchBackend, tmp_path: Path) -> None:
    good = json.dumps({"id": "good", "prompt": "a\u2028b", **GREEDY}, ensure_ascii=False).encode()
    far = json.dumps({"id": "far", "prompt_ids": [100_000]}).encode()
    long = json.dumps({"id": "long", "messages": [{"role": "user", "content": "x" * 500}]}).encode()
    lines = b"\n".join([b"[1]", b"{", b"\xff\xfe", good, far, long, b'{"id": "none", "prompt": ""}'])
    answers = await answer(backend, tmp_path, lines)
    errors = {item["id"]: item["error"] for item in answers if item["id"] and "error" in item}
    assert [item["error"]["code"] for item in answers if item["id"] is None] == ["BAD_INPUT"] * 3
    assert [item["id"] for item in answers if "error" not in item] == ["good"]
    assert errors["far"]["message"].startswith("prompt_ids ")
    assert errors["long"]["message"].startswith("messages ")
    assert errors["none"]["message"].startswith("prompt ")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": None}, "id"),
        ({"id": {}}, "id"),
        ({"id": "\ud800"}, "id"),
        ({"prompt_ids": [1]}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": 3}, "prompt"),
        ({"prompt": "\ud800"}, "prompt"),
        ({"prompt": None, "prompt_ids": []}, "prompt_ids"),
        ({"prompt": None, "prompt_ids": [1, True]}, "prompt_ids"),
        ({"prompt": None, "messages": [{"role": "user"}]}, "messages"),
        ({"prompt": None, "messages": [{"role": "boss", "content": "x"}]}, "messages"),
        ({"prompt": None, "messages": [{"role": [], "content": "x"}]}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"seed": "x"}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"seed": -(2**63) - 1}, "seed"),
        ({"min_p": 1.1}, "min_p"),
        ({"min_p": "0.1"}, "min_p"),
        ({"presence_penalty": -2.5}, "presence_penalty"),
        ({"presence_penalty": float("inf")}, "presence_penalty"),
        ({"frequency_penalty": 2.1}, "frequency_penalty"),
        ({"frequency_penalty": False}, "frequency_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"logprobs": 21}, "logprobs"),
        ({"logprobs": -1}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"stop": ["a"] * 9}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"ignore_eos": 1}, "ignore_eos"),
        ({"temperatur": 1}, "temperatur"),
    ],
)
async def test_what_a_line_may_not_say_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    data = json.dumps({"id": "a", "prompt": "x", **changes}).encode()
    with pytest.raises(BadInput) as caught:
        read_line(parse_line(data))
    assert caught.value.field == field
    assert field in caught.value.message


async def test_whole_numbers_of_any_size_are_what_they_come_to(backend: TorchBackend, tmp_path: Path) -> None:
    """They go to another process, in messages that hold 64 bits."""
    plain = {"id": "plain", "prompt": "hello", **GREEDY, "max_tokens": 1000, "stop": "x" * 30}
    great = {**plain, "id": "great", "max_tokens": 10**30, "top_k": 10**30, "repetition_penalty": 1}
    hot = {
        "id": "hot",
        "prompt": "hello",
        "max_tokens": 2,
        "ignore_eos": True,
        "temperature": 10**30,
        "seed": 2**64 - 1,
    }
    cold = {**hot, "id": "cold", "seed": -(2**63)}
    answers = {
        line["id"]: line
        for line in await answer(backend, tmp_path, "\n".join(map(json.dumps, (plain, great, hot, cold))))
    }
    assert answers["great"]["token_ids"] == answers["plain"]["token_ids"]
    assert [len(answers[name]["token_ids"]) for name in ("hot", "cold")] == [2, 2]


async def test_logprobs_are_told_of_each_token_when_asked_for(backend: TorchBackend, tmp_path: Path) -> None:
    asked = {"prompt": "hello", "max_tokens": 6, "temperature": 0, "ignore_eos": True}
    penalties = {"repetition_penalty": 0.01, "presence_penalty": 0.5, "frequency_penalty": 0.5}
    lines = [
        {"id": "no", **asked},
        {"id": "none", **asked, "logprobs": 0},
        {"id": "some", **asked, "logprobs": 3},
        {"id": "penalized", **asked, **penalties, "logprobs": 20},
    ]
    answers = {item["id"]: item for item in await answer(backend, tmp_path, "\n".join(map(json.dumps, lines)))}
    assert "logprobs" not in answers["no"]
    for name, count in (("none", 0), ("some", 3), ("penalized", 20)):
        told = answers[name]["logprobs"]
        assert [entry["token_id"] for entry in told] == answers[name]["token_ids"]
        assert [len(entry["top"]) for entry in told] == [count] * 6
        assert all(entry["logprob"] < 0 for entry in told)
    # A greedy token is the likeliest one, and the same tokens have the same log-probabilities however many are told.
    assert all(entry["top"][0] == _own(entry) for entry in answers["some"]["logprobs"])
    assert [entry["logprob"] for entry in answers["none"]["logprobs"]] == [
        entry["logprob"] for entry in answers["some"]["logprobs"]
    ]
    # Penalties change what is drawn, not what is told of the scores.
    assert answers["penalized"]["token_ids"] != answers["some"]["token_ids"]
    assert answers["penalized"]["logprobs"][0]["top"][:3] == answers["some"]["logprobs"][0]["top"]


def _own(entry: dict[str, Any]) -> dict[str, Any]:
    return {"token_id": entry["token_id"], "logprob": entry["logprob"]}


async def test_each_setting_reaches_the_engine(backend: TorchBackend, tmp_path: Path) -> None:
    asked = {"prompt": "a wanderer", "max_tokens": 24, "ignore_eos": True, "seed": 5, "temperature": 3.0}
    settings: list[dict[str, Any]] = [
        {},
        {"min_p": 1.0},
        {"presence_penalty": 2.0},
        {"frequency_penalty": -2.0},
        {"repetition_penalty": 30.0},
        {"top_k": 1},
    ]
    lines = [{"id": number, **asked, **setting} for number, setting in enumerate(settings)]
    answers = {item["id"]: item for item in await answer(backend, tmp_path, "\n".join(map(json.dumps, lines)))}
    tokens = [tuple(answers[number]["token_ids"]) for number in range(len(settings))]
    assert len(set(tokens[:-1])) == len(settings) - 1
    assert tokens[1] == tokens[-1]  # of the best token's own probability there is only the best


class Heard:
    """Notes what it is told of a batch, and how many lines are there to be read as it is told."""

    def __init__(self, target: Path) -> None:
        self.target, self.written = target, list[int]()
        self.lines: int | None = None
        self.tokens = self.answers = self.errors = 0
        self.ended = False

    def begin(self, count: Callable[[], int | None]) -> None:
        self.lines = count()

    def made(self, tokens: int) -> None:
        self.tokens += tokens

    def answered(self, *, error: bool) -> None:
        self.answers += 1
        self.errors += error
        self.written.append(self.target.read_text().count("\n"))

    def end(self) -> None:
        self.ended = True


async def test_progress_hears_of_all_lines_and_tokens(checkpoint: Path, tmp_path: Path) -> None:
    source, target, heard = tmp_path / "in.jsonl", tmp_path / "out.jsonl", Heard(tmp_path / "out.jsonl")
    good = [json.dumps({"id": number, "prompt": "a", **GREEDY}) for number in range(5)]
    source.write_text("\n\n".join([*good, "{", ""]))
    await generate_file(EngineConfig(checkpoint, threads=1), source, target, heard)
    assert (heard.lines, heard.tokens, heard.answers, heard.errors, heard.ended) == (6, 40, 6, 1, True)
    assert heard.written == [1, 2, 3, 4, 5, 6]
    assert len(target.read_text().splitlines()) == 6


class Deadly(Silent):
    """Kills the engine at the first token."""

    def __init__(self, pid: int) -> None:
        self._victims = [pid]

    def made(self, tokens: int) -> None:
        while self._victims:
            os.kill(self._victims.pop(), signal.SIGKILL)


async def test_the_death_of_the_engine_costs_no_line(backend: TorchBackend, tmp_path: Path) -> None:
    """It dies before it is told of the last lines, however fast it is."""
    count = 2 * backend.model.capacity + 2
    lines = "\n".join(json.dumps({"id": i, "prompt": "a", "ignore_eos": True}) for i in range(count))
    pid = backend._client.pid
    assert pid
    answers = await answer(backend, tmp_path, lines, Deadly(pid))
    assert sorted(item["id"] for item in answers if "error" not in item) == list(range(count))
    assert backend.ready
    assert backend._client.pid != pid


async def test_an_empty_file_has_no_answers_and_bad_paths_stop_before_any_work(
    checkpoint: Path, tmp_path: Path
) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    config = EngineConfig(checkpoint, threads=1)
    with pytest.raises(FileNotFoundError):
        await generate_file(config, source, target)
    source.write_text("\n")
    with pytest.raises(ValueError, match="must not be the input"):
        await generate_file(config, source, source)
    with pytest.raises(ValueError, match="is not a folder"):
        await generate_file(config, source, tmp_path / "no" / "out.jsonl")
    with pytest.raises(ValueError, match=r"config\.json: cannot be read"):
        await generate_file(EngineConfig(tmp_path), source, target)
    assert not target.exists()
    await generate_file(config, source, target)
    assert target.read_text() == ""
