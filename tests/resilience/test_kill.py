"""R1, R2, R3 under SIGKILL: the whole process dies at random moments, again and again, on one data folder."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from chaos.auditor import Auditor
from chaos.caller import Caller
from chaos.checker import violations
from chaos.exchange import Exchange
from chaos.operation import Operation
from chaos.record import open_record
from support.graphql import open_http
from support.people import Person, sign_up
from support.platform import SCRIPTED, Platform, free_port, start_platform

ROUNDS = 30
SEED = 20260117
EXCHANGES_PER_ROUND = 3
SETTINGS = {**SCRIPTED, "PARLEY_LEASE_SECONDS": "3", "PARLEY_SWEEP_SECONDS": "0.2"}
LAST_WORDS_SECONDS = 60.0


@pytest.mark.timeout(420)
async def test_thirty_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    chance, port, data = random.Random(SEED), free_port(), tmp_path / "data"
    exchanges: list[Exchange] = []
    with open_record(tmp_path / "history.jsonl") as recorder:
        async with open_http(f"http://127.0.0.1:{port}") as http, asyncio.TaskGroup() as running:
            with start_platform(data, port=port, settings=SETTINGS) as platform:
                ada = await sign_up(http)
                platform.kill()
            caller = Caller([http], ada.token, recorder, chance)
            for number in range(ROUNDS):
                with start_platform(data, port=port, settings=SETTINGS, ready=False) as platform:
                    if number % 5 == 4:  # now and then it does not even get to its feet
                        await asyncio.sleep(chance.uniform(0.3, 1.5))
                    else:
                        await asyncio.to_thread(platform.wait_until_ready)
                        for exchange in await _new_exchanges(ada, caller, len(exchanges)):
                            exchanges.append(exchange)
                            running.create_task(exchange.run())
                        await asyncio.sleep(chance.uniform(0.0, 0.8))
                    recorder.record("nemesis", "invoke", "fault", kind="kill", target="platform")
                    platform.kill()
                    recorder.record("nemesis", "ok", "fault", kind="kill", target="platform")
            with start_platform(data, port=port, settings=SETTINGS, ready=False) as platform:
                await _the_end(platform, caller, exchanges)
    assert violations(recorder.operations) == []
    assert len({it.generation for it in exchanges}) == len(exchanges)
    assert _restarts(recorder.operations) >= ROUNDS // 3  # else the kills came too late to prove anything


async def _new_exchanges(ada: Person, caller: Caller, number: int) -> list[Exchange]:
    """Each in a conversation of its own."""
    chance, added = caller.chance, []
    for index in range(number, number + EXCHANGES_PER_ROUND):
        conversation, transport = await ada.create(), chance.choice(["ws", "sse"])
        content, tokens = f"message {index}", chance.randrange(20, 120)
        added.append(Exchange(caller, f"client-{index}", conversation, content, tokens, transport))
    return added


async def _the_end(platform: Platform, caller: Caller, exchanges: list[Exchange]) -> None:
    """Let every exchange finish, then look at all that is stored."""
    await asyncio.to_thread(platform.wait_until_ready)
    async with asyncio.timeout(LAST_WORDS_SECONDS):
        await asyncio.gather(*(exchange.done.wait() for exchange in exchanges))
    await Auditor(caller).look({it.conversation: [it.generation] for it in exchanges if it.generation})


def _restarts(operations: list[Operation]) -> int:
    return sum("restarted" in event for operation in operations for event in operation.value.get("events", []))
