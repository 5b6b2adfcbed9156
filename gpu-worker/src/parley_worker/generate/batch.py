"""Runs a file of requests through the engine, as many at once as it has room for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import IO, Any

from parley_kit.errors import ParleyError, Unavailable
from parley_worker.backends.torch import TorchBackend, open_torch_backend
from parley_worker.config import EngineConfig
from parley_worker.generate.line import Line, parse_line, read_id, read_line

# A request that kills the engine must not do so for ever.
_ATTEMPTS = 3


async def generate_file(config: EngineConfig, source: Path, target: Path) -> None:
    """Answer each line of `source` that is not blank by one line of `target`, in the order in which they finish.

    A line that cannot be answered gets an error of its own. Raises ValueError or OSError, one readable line, before
    any work if the model, the source or the target cannot be used.
    """
    with source.open("rb") as lines:
        _check_target(source, target)
        async with open_torch_backend(config) as backend:
            with target.open("w", encoding="utf-8", newline="\n") as answers:
                await _answer_all(backend, lines, answers)


def _check_target(source: Path, target: Path) -> None:
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target}: the output must not be the input")
    if not target.parent.is_dir():
        raise ValueError(f"{target.parent}: is not a folder")


async def _answer_all(backend: TorchBackend, lines: IO[bytes], answers: IO[str]) -> None:
    """As many workers share the lines as the engine takes in one step, and one more each that waits."""
    remaining = (line for line in lines if line.strip())
    async with asyncio.TaskGroup() as group:
        for _ in range(2 * backend.model.capacity):
            group.create_task(_work(backend, remaining, answers))


async def _work(backend: TorchBackend, lines: Iterator[bytes], answers: IO[str]) -> None:
    for data in lines:
        answers.write(json.dumps(await _answer(backend, data), ensure_ascii=False) + "\n")


async def _answer(backend: TorchBackend, data: bytes) -> dict[str, Any]:
    line_id = None
    try:
        values = parse_line(data)
        line_id = read_id(values)
        return {"id": line_id, **await _complete(backend, read_line(values))}
    except ParleyError as error:
        return {"id": line_id, "error": {"code": error.code, "message": error.message}}


async def _complete(backend: TorchBackend, line: Line) -> dict[str, Any]:
    """The answer to a line, tried again when the engine died over it."""
    prompt = await _encode(backend, line)
    for _ in range(_ATTEMPTS - 1):
        try:
            return await _attempt(backend, prompt, line)
        except Unavailable:
            await backend.wait_ready()
    return await _attempt(backend, prompt, line)


async def _encode(backend: TorchBackend, line: Line) -> tuple[int, ...]:
    if line.messages:
        return await backend.encode_chat(line.messages)
    return line.prompt_ids if line.prompt is None else await backend.encode_text(line.prompt)


async def _attempt(backend: TorchBackend, prompt: tuple[int, ...], line: Line) -> dict[str, Any]:
    async with aclosing(backend.answer(prompt, line.params, field=line.field)) as stream:
        chunks = [chunk async for chunk in stream]
    reason, usage = chunks[-1].finish_reason, chunks[-1].usage
    return {
        "token_ids": [token for chunk in chunks for token in chunk.token_ids],
        "text": "".join(chunk.text for chunk in chunks),
        "finish_reason": reason,
        "usage": usage and {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens},
    }
