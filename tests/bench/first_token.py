"""What the platform adds to the first token: `sendMessage` over HTTP to the first delta over WebSocket, against the
bare torch backend on the same model and the same prompts, taking turns in one run.

    PYTHONPATH=tests .venv/bin/python tests/bench/first_token.py
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from support.graphql import ANSWER, Json, open_http, open_socket, receive, send
from support.people import Person, sign_up
from support.platform import start_platform
from websockets.asyncio.client import ClientConnection

from parley_worker.backends.base import Backend
from parley_worker.backends.torch import open_torch_backend
from parley_worker.config import EngineConfig
from parley_worker.core import ChatMessage, Job, SamplingParams
from parley_worker.settings import BUNDLED_MODEL

ROUNDS = 100
WARM_UP = 10
TOKENS = 8


async def bare(backend: Backend, number: int) -> float:
    """Seconds from the job to its first text."""
    messages = (ChatMessage("user", f"Hello, how are you? ({number})"),)
    job = Job(str(number), messages, SamplingParams(max_tokens=TOKENS, temperature=0.0))
    began, first = time.perf_counter(), None
    async for chunk in backend.generate(job):
        if chunk.text and first is None:
            first = time.perf_counter() - began
    return first or time.perf_counter() - began


async def through(person: Person, socket: ClientConnection, number: int) -> float:
    """Seconds from the send to the first delta that a subscriber gets."""
    conversation = await person.create(title="bench")
    parameters = {"maxTokens": TOKENS, "temperature": 0.0}
    began, first = time.perf_counter(), None
    sent = await person.send(conversation, f"Hello, how are you? ({number})", parameters=parameters)
    variables: Json = {"id": sent["generation"]["id"], "after": 0}
    payload = {"query": ANSWER, "variables": variables}
    await send(socket, {"id": str(number), "type": "subscribe", "payload": payload})
    while (frame := await receive(socket))["type"] != "complete":
        if first is None and frame["payload"]["data"]["generation"]["__typename"] == "TokenDelta":
            first = time.perf_counter() - began
    return first or time.perf_counter() - began


def line(name: str, seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99) - 1]
    return f"{name:34} p50 {p50 * 1000:6.1f} ms   p99 {p99 * 1000:6.1f} ms"


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder, start_platform(Path(folder) / "data", settings={}) as platform:
        async with (
            open_torch_backend(EngineConfig(BUNDLED_MODEL)) as backend,
            open_http(platform.url) as http,
        ):
            person = await sign_up(http)
            async with open_socket(platform.url, person.token) as socket:
                pairs = [
                    (await bare(backend, number), await through(person, socket, number))
                    for number in range(ROUNDS + WARM_UP)
                ][WARM_UP:]
    print(line("bare torch backend", [pair[0] for pair in pairs]))
    print(line("sendMessage to the first delta", [pair[1] for pair in pairs]))
    print(line("added", [after - before for before, after in pairs]))


if __name__ == "__main__":
    asyncio.run(main())
