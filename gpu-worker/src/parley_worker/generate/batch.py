"""Runs a file of requests through the engine, as many at once as it has room for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import IO, Any

from parley_kit.errors import ParleyError, Unavailable
from parley_worker.backends.torch import TorchBackend, open_torch_backend
from parley_worker.config import EngineConfig
from parley_worker.core import Chunk, TokenLogprob
from parley_worker.generate.line import Line, parse_line, read_id, read_line
from parley_worker.generate.progress import Progress, Silent

# A request that kills the engine must not do so for ever.
_ATTEMPTS = 3
_UNSEEN = Silent()


async def generate_file(config: EngineConfig, source: Path, target: Path, progress: Progress = _UNSEEN) -> None:
    """Answer each line of `source` that is not blank by one line of `target`, in the order in which they finish.

    A line that cannot be answered gets an error of its own. Raises ValueError or OSError, one readable line, before
    any work if the model, the source or the target cannot be used. A line that `progress` has heard of is in the file.
    """
    with source.open("rb") as lines:
        _check_target(source, target)
        async with open_torch_backend(config) as backend:
            with target.open("w", buffering=1, encoding="utf-8", newline="\n") as answers:
                progress.begin(partial(_count, lines))
                await _answer_all(backend, lines, answers, progress)
                progress.end()


def _check_target(source: Path, target: Path) -> None:
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target}: the output must not be the input")
    if not target.parent.is_dir():
        raise ValueError(f"{target.parent}: is not a folder")


def _count(lines: IO[bytes]) -> int | None:
    """How many lines are to be answered; None for a pipe, which can be read only once."""
    if not lines.seekable():
        return None
    count = sum(1 for line in lines if line.strip())
    lines.seek(0)
    return count


async def _answer_all(backend: TorchBackend, lines: IO[bytes], answers: IO[str], progress: Progress = _UNSEEN) -> None:
    """As many workers share the lines as the engine takes in one step, and one more each that waits."""
    remaining = (line for line in lines if line.strip())
    async with asyncio.TaskGroup() as group:
        for _ in range(2 * backend.model.capacity):
            group.create_task(_work(backend, remaining, answers, progress))


async def _work(backend: TorchBackend, lines: Iterator[bytes], answers: IO[str], progress: Progress) -> None:
    for data in lines:
        answer = await _answer(backend, data, progress)
        answers.write(json.dumps(answer, ensure_ascii=False) + "\n")
        progress.answered(error="error" in answer)


async def _answer(backend: TorchBackend, data: bytes, progress: Progress) -> dict[str, Any]:
    line_id = None
    try:
        values = parse_line(data)
        line_id = read_id(values)
        return {"id": line_id, **await _complete(backend, read_line(values), progress)}
    except ParleyError as error:
        return {"id": line_id, "error": {"code": error.code, "message": error.message}}


async def _complete(backend: TorchBackend, line: Line, progress: Progress) -> dict[str, Any]:
    """The answer to a line, tried again when the engine died over it."""
    prompt = await _encode(backend, line)
    for _ in range(_ATTEMPTS - 1):
        try:
            return await _attempt(backend, prompt, line, progress)
        except Unavailable:
            await backend.wait_ready()
    return await _attempt(backend, prompt, line, progress)


async def _encode(backend: TorchBackend, line: Line) -> tuple[int, ...]:
    if line.messages:
        return await backend.encode_chat(line.messages)
    return line.prompt_ids if line.prompt is None else await backend.encode_text(line.prompt)


async def _attempt(backend: TorchBackend, prompt: tuple[int, ...], line: Line, progress: Progress) -> dict[str, Any]:
    chunks: list[Chunk] = []
    async with aclosing(backend.answer(prompt, line.params, field=line.field)) as stream:
        async for chunk in stream:
            chunks.append(chunk)
            progress.made(len(chunk.token_ids))
    reason, usage = chunks[-1].finish_reason, chunks[-1].usage
    answer: dict[str, Any] = {
        "token_ids": [token for chunk in chunks for token in chunk.token_ids],
        "text": "".join(chunk.text for chunk in chunks),
        "finish_reason": reason,
        "usage": usage and {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens},
    }
    if line.params.logprobs is not None:
        answer["logprobs"] = [_told(logprob) for chunk in chunks for logprob in chunk.logprobs]
    return answer


def _told(logprob: TokenLogprob) -> dict[str, Any]:
    best = [{"token_id": token, "logprob": value} for token, value in logprob.best]
    return {"token_id": logprob.token_id, "logprob": logprob.logprob, "top": best}
