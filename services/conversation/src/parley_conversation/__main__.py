"""`python -m parley_conversation`: the conversation service as a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley_bus.kafka import KafkaSettings, open_kafka
from parley_conversation.bootstrap import Running, open_conversation
from parley_conversation.settings import ConversationSettings
from parley_kit.clock import Clock
from parley_kit.health import Readiness
from parley_kit.logs import get_logger
from parley_kit.service import HealthSettings, run_service
from parley_live.redis import RedisSettings, open_redis

log = get_logger("parley_conversation")


class ProcessSettings(ConversationSettings, RedisSettings, KafkaSettings, HealthSettings):
    """All that the process reads."""


@asynccontextmanager
async def open_process(settings: ProcessSettings, clock: Clock, readiness: Readiness) -> AsyncIterator[Running]:
    """The service on its servers. Raises ConfigError."""
    async with open_redis(settings) as live, open_kafka(settings, clock) as bus:
        readiness.add("redis", live.check)
        readiness.add("kafka", bus.check)
        async with open_conversation(settings, bus, live, clock, readiness) as service:
            log.info("serving", address=service.address)
            yield service


def main() -> None:
    run_service("parley-conversation", ProcessSettings, open_process)


if __name__ == "__main__":
    main()
