"""A whole run: clients and a nemesis on a cluster, then quiet, then the last look at everything."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from support.graphql import Http, open_http
from support.people import Person, sign_up

from chaos.auditor import Auditor
from chaos.caller import Caller
from chaos.client import Client, renew
from chaos.nemesis import Nemesis, Step
from chaos.operation import Recorder

CLIENTS_PER_USER = 4
SAMPLE = 100
PROGRESS_SECONDS = 10.0
AUDIT_SECONDS = 600.0


@dataclass(frozen=True)
class Plan:
    """seconds: how long things break, if there is enough to do. quiet_seconds: what the clients then have to finish.

    deadline: of a generation, as the platform was told.
    """

    seconds: float
    clients: int
    quiet_seconds: float
    deadline: float
    nemeses: int = 1


class Harness:
    """`run` may be called once."""

    def __init__(
        self, urls: Sequence[str], recorder: Recorder, chance: random.Random, say: Callable[[str], None]
    ) -> None:
        self._urls = urls
        self._recorder = recorder
        self._chance = chance
        self._say = say
        self.clients: list[Client] = []

    async def run(self, plan: Plan, nemesis: Nemesis, steps: Iterator[Step]) -> None:
        """All that happens is on record. What is unfinished after the quiet is left so, for the checker to find."""
        self._recorder.record("harness", "info", "setup", deadline=plan.deadline, grace=15)
        async with AsyncExitStack() as stack:
            gateways = [await stack.enter_async_context(open_http(url)) for url in self._urls]
            keepers = await stack.enter_async_context(asyncio.TaskGroup())
            keeping = [keepers.create_task(self._report()), *await self._people(plan, gateways, keepers)]
            await self._fight(plan, nemesis, steps)
            await self._audit(gateways)
            for task in keeping:
                task.cancel()

    async def _people(
        self, plan: Plan, gateways: Sequence[Http], keepers: asyncio.TaskGroup
    ) -> list[asyncio.Task[None]]:
        """Users with some clients each, whose tokens are renewed."""
        tasks = list[asyncio.Task[None]]()
        for first in range(0, plan.clients, CLIENTS_PER_USER):
            person = await sign_up(gateways[0])
            names = [f"client-{number}" for number in range(first, min(first + CLIENTS_PER_USER, plan.clients))]
            callers = [self._caller(person, gateways) for _ in names]
            self.clients += [Client(name, caller) for name, caller in zip(names, callers, strict=True)]
            tasks.append(keepers.create_task(renew(person, callers)))
        return tasks

    def _caller(self, person: Person, gateways: Sequence[Http]) -> Caller:
        return Caller(gateways, person.token, self._recorder, random.Random(self._chance.random()))

    async def _fight(self, plan: Plan, nemesis: Nemesis, steps: Iterator[Step]) -> None:
        enough = asyncio.Event()
        working = [asyncio.create_task(client.run(enough)) for client in self.clients]
        breaking = [asyncio.create_task(nemesis.run(steps, f"nemesis-{number}")) for number in range(plan.nemeses)]
        _, unfinished = await asyncio.wait(breaking, timeout=plan.seconds)
        for task in unfinished:
            task.cancel()
        _raise_any(await asyncio.gather(*breaking, return_exceptions=True))
        self._say("quiet")
        enough.set()
        done, late = await asyncio.wait(working, timeout=plan.quiet_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        _raise_any(task.exception() for task in done)

    async def _audit(self, gateways: Sequence[Http]) -> None:
        self._say("last look")
        async with asyncio.timeout(AUDIT_SECONDS):
            stranger = self._caller(await sign_up(gateways[0]), gateways)
            for client in self.clients:
                generations = [it for ids in client.generations.values() for it in ids]
                auditor = Auditor(client.caller)
                await auditor.look(client.generations)
                sample = self._chance.sample(generations, min(len(generations), SAMPLE // len(self.clients)))
                await auditor.read_again(sample)
                await auditor.pry(stranger, [*sample[:2], *list(client.generations)[:1]])

    async def _report(self) -> None:
        """A line now and then. Until cancelled."""
        started = time.monotonic()
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            answers = sum(len(ids) for client in self.clients for ids in client.generations.values())
            waiting = [client.waiting_for for client in self.clients if client.waiting_for]
            broken = [it.value for it in self._recorder.operations if it.f == "fault" and it.type == "invoke"]
            last = f"{broken[-1]['kind']} {broken[-1]['target']}" if broken else "none"
            seconds = time.monotonic() - started
            self._say(
                f"{seconds:6.0f} s  {answers} messages, {len(waiting)} at work, {len(broken)} faults, last: {last}"
            )


def _raise_any(errors: Iterator[BaseException | None] | Sequence[BaseException | None]) -> None:
    """The harness's own failure is none of the platform's."""
    for error in errors:
        if error is not None and not isinstance(error, asyncio.CancelledError):
            raise error
