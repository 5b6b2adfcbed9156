"""Opens the backend: waits for the server, and learns from it what there is to serve."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from parley_kit.clock import Clock
from parley_kit.logs import get_logger
from parley_kit.settings import ConfigError
from parley_worker.backends.openai.backend import OpenAiBackend
from parley_worker.backends.openai.config import OpenAiConfig
from parley_worker.backends.openai.dialects import MANNERS
from parley_worker.backends.openai.health import ServerHealth
from parley_worker.backends.openai.refusals import Failure, Refusal, Unreadable
from parley_worker.backends.openai.server import Server, open_server
from parley_worker.backends.openai.wire import ListedModel
from parley_worker.core import ModelInfo
from parley_worker.tasks import running

log = get_logger(__name__)

FIRST_DELAY = 0.2
LONGEST_DELAY = 5.0


@asynccontextmanager
async def open_openai_backend(config: OpenAiConfig, clock: Clock) -> AsyncIterator[OpenAiBackend]:
    """Yields once the server answers; waits for it as long as that takes, and logs that it does.

    Raises ConfigError, naming the variable, when the server is not as the settings say.
    """
    async with open_server(config) as server:
        listed = await _wait_for_list(server, config.url, clock)
        model = _choose(config.model, listed)
        info = ModelInfo(config.name or _public_name(model.id), _window(config, model), config.capacity)
        health = ServerHealth(server)
        async with running(health.run(), "model server health"):
            manner = MANNERS[config.dialect]
            yield OpenAiBackend(server, health, info, model.id, manner, config.patience_seconds, clock)


async def _wait_for_list(server: Server, url: str, clock: Clock) -> Sequence[ListedModel]:
    delay = FIRST_DELAY
    while True:
        try:
            return await server.list_models() or ()
        except Refusal as refusal:
            if refusal.access:
                raise ConfigError(f"PARLEY_OPENAI_API_KEY: the server refuses it: {refusal}") from None
            if not refusal.again:
                raise ConfigError(f"PARLEY_OPENAI_URL: {refusal}") from None
            failure: Failure = refusal
        except Unreadable as unreadable:
            raise ConfigError(f"PARLEY_OPENAI_URL: {unreadable}") from None
        except Failure as lost:
            failure = lost
        log.warning("waiting_for_model_server", url=url, reason=str(failure))
        await clock.sleep(random.uniform(0, delay))
        delay = min(2 * delay, LONGEST_DELAY)


def _choose(asked: str | None, listed: Sequence[ListedModel]) -> ListedModel:
    """The model to ask for. A server without a list is believed to have it."""
    names = ", ".join(model.id for model in listed[:8]) or "nothing"
    if asked is None:
        if len(listed) != 1:
            raise ConfigError(f"PARLEY_OPENAI_MODEL: name one; the server lists {names}")
        return listed[0]
    for model in listed:
        if model.id in (asked, f"{asked}:latest"):  # Ollama's tag goes without saying
            return model
    if listed:
        raise ConfigError(f"PARLEY_OPENAI_MODEL: {asked} is not served; the server lists {names}")
    return ListedModel(id=asked)


def _window(config: OpenAiConfig, model: ListedModel) -> int:
    if config.context_length is not None:
        return config.context_length
    if model.context_length is None:
        raise ConfigError("PARLEY_OPENAI_CONTEXT_LENGTH: set it, the server does not tell")
    return model.context_length


def _public_name(model: str) -> str:
    """The last part of the server's name, in the characters that topics take."""
    last = model.removesuffix(":latest").rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last)[:64] or "model"
