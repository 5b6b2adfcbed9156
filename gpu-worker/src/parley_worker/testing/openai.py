"""Asking a `ChatServer` through the openai backend."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from typing import Any

from parley_kit.clock import SystemClock
from parley_worker.backends.openai.backend import OpenAiBackend
from parley_worker.backends.openai.config import OpenAiConfig
from parley_worker.backends.openai.opening import open_openai_backend
from parley_worker.core import ChatMessage, Chunk, Job, Prefix, SamplingParams
from parley_worker.testing.chat_server import ChatServer

CAPACITY = 3
HELLO = (ChatMessage("user", "hello"),)
_CONFIG = OpenAiConfig("", patience_seconds=5.0, silence_seconds=5.0, capacity=CAPACITY)


def open_backend(server: ChatServer, **config: Any) -> AbstractAsyncContextManager[OpenAiBackend]:
    return open_openai_backend(replace(_CONFIG, url=server.url, **config), SystemClock())


def job(resume: Prefix | None = None, messages: tuple[ChatMessage, ...] = HELLO, **params: Any) -> Job:
    return Job("job", messages, SamplingParams(**params), resume or Prefix())


async def collect(backend: OpenAiBackend, work: Job) -> list[Chunk]:
    async with aclosing(backend.generate(work)) as chunks:
        return [chunk async for chunk in chunks]


async def ask(server: ChatServer, work: Job | None = None, **config: Any) -> list[Chunk]:
    """One answer of a backend that is open for it alone."""
    async with open_backend(server, **config) as backend:
        return await collect(backend, work or job())


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)
