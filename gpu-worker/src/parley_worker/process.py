"""The worker as a process of its own: what `parley-worker serve` runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley_bus.kafka import KafkaSettings, open_kafka
from parley_kit.clock import Clock
from parley_kit.health import Readiness
from parley_kit.logs import get_logger
from parley_kit.service import HealthSettings, run_service
from parley_live.redis import RedisSettings, open_redis
from parley_worker.bootstrap import open_worker
from parley_worker.settings import WorkerSettings
from parley_worker.worker import Worker

log = get_logger(__name__)


class ProcessSettings(WorkerSettings, RedisSettings, KafkaSettings, HealthSettings):
    """All that the process reads."""


@asynccontextmanager
async def open_process(settings: ProcessSettings, clock: Clock, readiness: Readiness) -> AsyncIterator[Worker]:
    """The worker on its servers. Raises ConfigError."""
    async with open_redis(settings) as live, open_kafka(settings, clock) as bus:
        readiness.add("redis", live.check)
        readiness.add("kafka", bus.check)
        async with open_worker(settings, bus, live, clock, readiness) as worker:
            log.info("serving", model=worker.model.name)
            yield worker


def main() -> None:
    """Serve until a signal."""
    run_service("parley-worker", ProcessSettings, open_process)
