"""llama.cpp as the benches drive it: its library for one stream, its server for many."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from socket import socket
from types import TracebackType
from typing import Any

from bench.engine.parts.load import Answer, Ask
from bench.engine.peers import Peers

LOOP = Path(__file__).parent / "llama_loop.py"
START_SECONDS, ANSWER_SECONDS = 120.0, 600.0


class LlamaLoop:
    """One sequence at a time in a process of its own; see llama_loop.py."""

    def __init__(self, peers: Peers, file: Path, *, threads: int, context: int) -> None:
        self._command = (str(peers.python), str(LOOP), str(file), str(threads), str(context))
        self._environment = peers.environment

    def __enter__(self) -> LlamaLoop:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def answer(self, prompt: Sequence[int], tokens: int) -> dict[str, Any]:
        """{"ids", "first", "seconds"}."""
        return self._ask({"prompt": list(prompt), "tokens": tokens})

    def best(self, prompt: Sequence[int], count: int) -> list[tuple[int, float]]:
        """The best tokens after a prompt, with their scores."""
        return [(token, score) for token, score in self._ask({"prompt": list(prompt), "best": count})["best"]]

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._command)} ended")
        told: dict[str, Any] = json.loads(line)
        return told


class LlamaServer:
    """llama-server with continuous batching, asked over HTTP and read as it streams. See `open_llama_server`."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def answer(self, ask: Ask) -> Answer:
        """One request. `cached` is what the server says it took from its prompt cache."""
        began = time.perf_counter()
        body = {
            "prompt": list(ask.prompt),
            "n_predict": ask.tokens,
            "temperature": 0.0,
            "samplers": ["top_k"],
            "top_k": 1,
            "ignore_eos": True,
            "stream": True,
            "cache_prompt": ask.share,
            "return_tokens": True,
        }
        reader, writer = await self._post("/completion", body)
        times: list[float] = []
        ids: list[int] = []
        last: dict[str, Any] = {}
        async with asyncio.timeout(ANSWER_SECONDS):
            while line := await reader.readline():
                if line.startswith(b"data: "):
                    last = json.loads(line[6:])
                    ids.extend(last.get("tokens") or ())
                    times.extend([time.perf_counter()] * (len(ids) - len(times)))
        writer.close()
        # Tokens at the end that are no whole character are made, and never sent.
        times.extend(times[-1:] * (int(last["tokens_predicted"]) - len(times)))
        return Answer(began, tuple(times), tuple(ids), int(last["timings"].get("cache_n", 0)))

    async def healthy(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        status = await reader.readline()
        writer.close()
        return b" 200 " in status

    async def _post(self, path: str, body: dict[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        status = await reader.readline()
        if b" 200 " not in status:
            raise RuntimeError(f"llama-server: {status.decode().strip()}")
        return reader, writer


@asynccontextmanager
async def open_llama_server(
    peers: Peers, file: Path, *, threads: int, streams: int, context: int, keep: bool = True
) -> AsyncIterator[LlamaServer]:
    """A server with `streams` slots of `context` tokens each. keep: it copies old prompts aside, as it does unasked."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ("-np", str(streams), "-c", str(streams * context), "-t", str(threads), "--port", str(port))
    process = await asyncio.create_subprocess_exec(
        str(peers.server),
        *("-m", str(file), *options, *(() if keep else ("--cache-ram", "0")), "--host", "127.0.0.1"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    server = LlamaServer(port)
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await server.healthy():
                if process.returncode is not None:
                    raise RuntimeError(f"llama-server ended with {process.returncode}")
                await asyncio.sleep(0.1)
        yield server
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
