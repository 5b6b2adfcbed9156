"""A server that speaks OpenAI's chat completions over HTTP/1.1, byte for byte as a test wants it."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from parley_worker.testing.backends import words
from parley_worker.testing.wakeup import Wakeup

MODEL = "lab/Counter 1"
WINDOW = 4096
DEFAULT_TOKENS = 16
EVENTS = {"Content-Type": "text/event-stream; charset=utf-8"}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Reply:
    """An answer in raw bytes; each part is an HTTP chunk of its own. hang: says no more, until the client leaves.

    cut: closes the connection without an end. silent: not even the headers are sent. until: its end waits for this.
    """

    parts: Sequence[bytes] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: EVENTS)
    hang: bool = False
    cut: bool = False
    silent: bool = False
    until: asyncio.Event | None = None


@dataclass(frozen=True)
class Asked:
    """A request for an answer, as it came."""

    body: dict[str, Any]
    headers: dict[str, str]


class ChatServer:
    """Plays `replies` in order; after them it counts: `w0 w1 ...`, on from an assistant's message that stands last.

    Open one with `open_chat_server`. `models` is what it lists, or a Reply.
    """

    def __init__(self, interval: float = 0.0) -> None:
        self.interval = interval
        self.replies: deque[Reply] = deque()
        self.models: Reply | list[dict[str, Any]] = [{"id": MODEL, "object": "model", "max_model_len": WINDOW}]
        self.asked: list[Asked] = []
        self.listed = 0
        self.running = 0
        self.connections = 0
        self.changed = Wakeup()
        self.url = ""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._serve_one(reader, writer):
                    pass
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if request.split()[1].endswith("/models"):
            self.listed += 1
            self.changed.notify()
            return await self._write(self._list(), reader, writer)
        self.asked.append(Asked(json.loads(body), headers))
        self.running += 1
        self.changed.notify()
        try:
            reply = self.replies.popleft() if self.replies else self._count(self.asked[-1].body)
            return await self._write(reply, reader, writer)
        finally:
            self.running -= 1
            self.changed.notify()

    async def _write(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Returns whether the connection can be used again."""
        gone = asyncio.create_task(reader.read(1))
        try:
            if not reply.silent:
                headers = {**reply.headers, "Transfer-Encoding": "chunked"}
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(f"HTTP/1.1 {reply.status} Said\r\n{lines}\r\n".encode())
            for part in reply.parts:
                writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                await writer.drain()
                await asyncio.wait({gone}, timeout=self.interval)
                if gone.done():
                    break
            if reply.until is not None:
                await reply.until.wait()
            if reply.hang or reply.silent:
                await gone
            if gone.done() or reply.cut:
                return False
            writer.write(b"0\r\n\r\n")
            await writer.drain()
            return True
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    def _list(self) -> Reply:
        if isinstance(self.models, Reply):
            return self.models
        return Reply([json.dumps({"object": "list", "data": self.models}).encode()], headers=JSON)

    def _count(self, body: dict[str, Any]) -> Reply:
        last = body["messages"][-1]
        first = len(last["content"].split()) if last["role"] == "assistant" else 0
        made = body.get("max_tokens") or DEFAULT_TOKENS
        texts = [words(index, index + 1) for index in range(first, first + made)]
        return Reply(answer(*texts, finish="length", usage=(7, made)))


def event(value: object) -> bytes:
    return b"data: %s\n\n" % json.dumps(value).encode()


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    """One chunk of an answer."""
    delta = {} if content is None else {"content": content}
    return event(
        {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]}
    )


def usage_chunk(prompt: int, completion: int) -> bytes:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return event({"object": "chat.completion.chunk", "choices": [], "usage": counts})


def answer(*texts: str, finish: str = "stop", usage: tuple[int, int] | None = None) -> list[bytes]:
    """A whole answer, as most servers send it."""
    first = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
    ends = [chunk(finish=finish)] + ([usage_chunk(*usage)] if usage else []) + [b"data: [DONE]\n\n"]
    return [first, *map(chunk, texts), *ends]


def error(status: int, message: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Reply:
    """An error as servers of the protocol send it."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **more}}
    return Reply([json.dumps(body).encode()], status, {**JSON, **(headers or {})})


@asynccontextmanager
async def open_chat_server(interval: float = 0.0, port: int = 0) -> AsyncIterator[ChatServer]:
    """A running one, on loopback. interval: seconds after each part. port 0: a free one."""
    chat = ChatServer(interval)
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await chat.connected(reader, writer)
        except asyncio.CancelledError:
            pass  # the server closes, as when it is killed
        finally:
            connections.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    chat.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield chat
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
