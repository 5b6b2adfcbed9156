"""Clients: each sends one message after another, in conversations of its own, until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from support.people import CREATE, PASSWORD, SIGN_IN, Person

from chaos.caller import PAUSE_SECONDS, Caller, Refused
from chaos.exchange import Exchange, read_to_the_end

CONVERSATIONS = 3
TOKENS = (1, 250)
RENEW_SECONDS = 240.0


@dataclass
class Client:
    """generations: those of each conversation."""

    name: str
    caller: Caller
    generations: dict[str, list[str]] = field(default_factory=dict)
    waiting_for: str = ""

    async def run(self, enough: asyncio.Event) -> None:
        """The exchange that is under way when it is enough goes on to its end."""
        number = 0
        while not enough.is_set():
            number += 1
            try:
                await self._exchange(await self._conversation(), number)
            except* Refused:  # on record, and for the checker to judge
                await asyncio.sleep(PAUSE_SECONDS)

    async def _conversation(self) -> str:
        if len(self.generations) < CONVERSATIONS:
            created = await self.caller.insist(self.name, "create", CREATE, {"input": {}})
            self.caller.recorder.record(self.name, "ok", "create", conversation=created["conversation"]["id"])
            self.generations[created["conversation"]["id"]] = []
        return self.caller.chance.choice(list(self.generations))

    async def _exchange(self, conversation: str, number: int) -> None:
        chance, content = self.caller.chance, f"{self.name} says {number}"
        self.waiting_for = content
        tokens, transport = chance.randint(*TOKENS), chance.choice(["ws", "sse"])
        odds = {"hedged": chance.random() < 0.15, "stops": chance.random() < 0.1}
        exchange = Exchange(self.caller, self.name, conversation, content, tokens, transport, **odds)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(exchange.run())
            if chance.random() < 0.25:
                tasks.create_task(self._second_reader(exchange))
            await exchange.acknowledged.wait()
            self.generations[conversation].append(str(exchange.generation))
        self.waiting_for = ""

    async def _second_reader(self, exchange: Exchange) -> None:
        """Joins somewhere in the middle, or at the end."""
        await exchange.acknowledged.wait()
        await asyncio.sleep(self.caller.chance.uniform(0, 3))
        await read_to_the_end(self.caller, f"{self.name}/second", str(exchange.generation), "ws")


async def renew(person: Person, callers: Sequence[Caller]) -> None:
    """Sign in again and again, so that no token runs out. Until cancelled."""
    details = {"email": person.email, "password": PASSWORD}
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        session = (await callers[0].insist("keeper", "sign-in", SIGN_IN, {"input": details}))["session"]
        for caller in callers:
            caller.token = session["accessToken"]
