"""The nemesis: it breaks one thing after another, by a seed, and puts what it did on record."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from redis.asyncio import Redis

from chaos.operation import Recorder
from chaos.proxy import Proxy

SERVICES = ("auth-1", "conversation-1", "gateway-1", "gateway-2", "worker-1", "worker-2")
SERVERS = ("kafka", "cassandra", "mongodb", "redis")
NETWORK: Mapping[str, Callable[[Proxy], None]] = {
    "delay": lambda proxy: proxy.delay(0.1),
    "throttle": lambda proxy: proxy.throttle(20_000),
    "silence": Proxy.go_silent,
    "refuse": Proxy.refuse,
    "cut": lambda proxy: proxy.cut_after(700),
    "reset": Proxy.reset,
}
GAP_SECONDS = (0.5, 3.0)
NETWORK_SECONDS = (1.0, 8.0)
POLL_SECONDS = 0.05
RETURN_SECONDS = 300.0
FLUSH_SECONDS = 10.0


class Stage(Protocol):
    """The processes that run now."""

    def pid(self, name: str) -> int:
        """The process `name`, such as worker-1 or kafka. Raises OSError while it has none."""
        ...

    def port_of(self, name: str) -> int:
        """Where it listens once it is of use."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """kind: kill, terminate, pause, flush, or one of NETWORK. target: a process, or a link."""

    kind: str
    target: str


def every_step(links: Sequence[str]) -> list[Step]:
    """All that can be done to a cluster: links are those that lead through a proxy."""
    kills = [Step("kill", name) for name in (*SERVICES, *SERVERS)]
    pauses = [Step("pause", name) for name in (*SERVICES, *SERVERS)]
    drains = [Step("terminate", name) for name in SERVICES]
    network = [Step(kind, link) for link in links for kind in NETWORK]
    return [*kills, *pauses, *drains, *network, Step("flush", "redis")]


def shuffled(steps: Sequence[Step], chance: random.Random) -> Iterator[Step]:
    """Without end: all of them in one order, then all in another, so that each comes about equally often."""
    while True:
        yield from chance.sample(steps, len(steps))


class Nemesis:
    """pause_seconds: longer than a lease, so that a paused worker wakes as one that was given up."""

    def __init__(
        self,
        stage: Stage,
        redis_url: str,
        links: Mapping[str, Proxy],
        recorder: Recorder,
        chance: random.Random,
        pause_seconds: tuple[float, float],
    ) -> None:
        self._stage = stage
        self._redis_url = redis_url
        self._links = links
        self._recorder = recorder
        self._chance = chance
        self._pause_seconds = pause_seconds
        self._broken = set[str]()

    async def run(self, steps: Iterator[Step], process: str = "nemesis") -> None:
        """Until cancelled; then what is broken is healed. Two may run at once: a target has one fault at a time."""
        for step in steps:
            await asyncio.sleep(self._chance.uniform(*GAP_SECONDS))
            if step.target not in self._broken:
                await self.carry_out(step, process)

    async def carry_out(self, step: Step, process: str = "nemesis") -> None:
        """From the fault to its healing. Raises TimeoutError when the target does not come back."""
        with self._fault(step, process):
            match step.kind:
                case "kill":
                    await self._end(step.target, signal.SIGKILL)
                case "terminate":
                    await self._end(step.target, signal.SIGTERM)
                case "pause":
                    await self._pause(step.target)
                case "flush":
                    await self._flush()
                case _:
                    await self._disturb(step)

    @contextmanager
    def _fault(self, step: Step, process: str) -> Iterator[None]:
        self._broken.add(step.target)
        value = {"kind": step.kind, "target": step.target}
        self._recorder.record(process, "invoke", "fault", **value)
        try:
            yield
        finally:
            self._recorder.record(process, "ok", "fault", **value)
            self._broken.discard(step.target)

    async def _end(self, target: str, number: signal.Signals) -> None:
        """And wait until the supervisor has started another, and that listens."""
        pid = self._stage.pid(target)
        os.kill(pid, number)
        async with asyncio.timeout(RETURN_SECONDS):
            while not await self._returned(target, pid):  # noqa: ASYNC110 - another process has no event for it
                await asyncio.sleep(POLL_SECONDS)

    async def _returned(self, target: str, pid: int) -> bool:
        with suppress(OSError, ValueError):
            if self._stage.pid(target) != pid:
                _, writer = await asyncio.open_connection("127.0.0.1", self._stage.port_of(target))
                writer.close()
                return True
        return False

    async def _pause(self, target: str) -> None:
        pid = self._stage.pid(target)
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(self._chance.uniform(*self._pause_seconds))
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def _flush(self) -> None:
        async with asyncio.timeout(FLUSH_SECONDS), Redis.from_url(self._redis_url) as client:
            await client.flushall()

    async def _disturb(self, step: Step) -> None:
        proxy = self._links[step.target]
        NETWORK[step.kind](proxy)
        try:
            await asyncio.sleep(self._chance.uniform(*NETWORK_SECONDS))
        finally:
            proxy.heal()
