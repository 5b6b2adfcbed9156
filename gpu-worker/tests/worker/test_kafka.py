"""Workers on a real broker: they share the requests, none idles beside a queue, and death loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

import pytest

from parley_bus.kafka import KafkaBus, KafkaSettings, open_kafka
from parley_kit.clock import SystemClock
from parley_worker.core import ModelInfo
from parley_worker.testing.backends import ProbedBackend
from parley_worker.testing.platform import Platform, open_platform

PATIENCE = 30.0
OFFERED_AGAIN_SECONDS = 0.3


class NamedBackend(ProbedBackend):
    """Of a model of its own, and with it a topic and a group of its own."""

    def __init__(self, name: str, capacity: int) -> None:
        super().__init__(interval_ms=60_000, capacity=capacity)
        self.model = ModelInfo(name, self.model.context_length, capacity)


@pytest.fixture
def model() -> str:
    return f"model-{uuid4().hex}"


@pytest.fixture
async def platform(kafka: str, model: str) -> AsyncIterator[Platform]:
    bus: KafkaBus
    async with (
        open_kafka(KafkaSettings.load(kafka_servers=kafka, kafka_partitions=4)) as bus,
        open_platform(SystemClock(), model, bus) as platform,
    ):
        yield platform


async def offer_until_claimed(platform: Platform, count: int) -> None:
    """As the conversation service does with what no worker took: under another key each time."""

    def claimed() -> bool:
        return len([owned for owned in platform.owner.generations.values() if owned.holder]) >= count

    async with asyncio.timeout(PATIENCE):
        while not claimed():
            with suppress(TimeoutError):
                async with asyncio.timeout(OFFERED_AGAIN_SECONDS):
                    await platform.owner.called.until(claimed)
            for generation_id, owned in platform.owner.generations.items():
                if owned.holder is None:
                    await platform.offer(generation_id, key=uuid4().hex)


async def test_no_worker_idles_while_requests_wait_behind_a_full_one(platform: Platform, model: str) -> None:
    full, other = NamedBackend(model, capacity=1), NamedBackend(model, capacity=8)
    async with platform.worker(full):
        await platform.ask()
        await full.until_running(1)
        async with platform.worker(other):
            for _ in range(7):
                await platform.ask()
            await offer_until_claimed(platform, 8)
            await other.until_running(7)
            assert len(full.running) == 1
            assert len(other.running) == 7
            assert not full.running & other.running


async def test_a_worker_that_closes_hands_its_requests_to_another(platform: Platform, model: str) -> None:
    """What it had claimed is offered again by the owner; what it had not is delivered again by the broker."""
    leaver, heir = NamedBackend(model, capacity=2), NamedBackend(model, capacity=8)
    async with platform.worker(leaver):
        asked = {await platform.ask() for _ in range(5)}
        await leaver.until_running(2)
    async with platform.worker(heir), asyncio.timeout(PATIENCE):
        await heir.until_running(5)
        assert heir.running == asked
