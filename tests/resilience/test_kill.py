"""R1, R2, R3 under SIGKILL: the whole process dies at random moments, again and again, on one data folder."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from support.agent import Agent
from support.graphql import Json, open_http
from support.history import History, violations
from support.people import Person, sign_up
from support.platform import SCRIPTED, Platform, free_port, start_platform

ROUNDS = 30
SEED = 20260117
AGENTS_PER_ROUND = 3
SETTINGS = {**SCRIPTED, "PARLEY_LEASE_SECONDS": "3", "PARLEY_SWEEP_SECONDS": "0.2"}
LAST_WORDS_SECONDS = 60.0

EVERYTHING = """
query ($id: ID!) { conversation(id: $id) { messages { edges { node { siblingIds } } } } }
"""
MESSAGE = "query ($id: ID!) { node(id: $id) { ... on Message { id role content generation { id } } } }"


@pytest.mark.timeout(420)
async def test_thirty_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    chance, port, data = random.Random(SEED), free_port(), tmp_path / "data"
    agents: dict[str, Agent] = {}
    async with open_http(f"http://127.0.0.1:{port}") as http, asyncio.TaskGroup() as running:
        with start_platform(data, port=port, settings=SETTINGS) as platform:
            ada = await sign_up(http)
            platform.kill()
        for number in range(ROUNDS):
            with start_platform(data, port=port, settings=SETTINGS, ready=False) as platform:
                if number % 5 == 4:  # now and then it does not even get to its feet
                    await asyncio.sleep(chance.uniform(0.3, 1.5))
                else:
                    await asyncio.to_thread(platform.wait_until_ready)
                    for agent in await _new_agents(ada, chance, agents):
                        running.create_task(agent.run())
                    await asyncio.sleep(chance.uniform(0.0, 0.8))
                platform.kill()
        with start_platform(data, port=port, settings=SETTINGS, ready=False) as platform:
            history = await _the_end(platform, ada, agents)
    assert violations(history) == []
    assert len(history.acknowledged) == len(history.readings) == len(agents)
    assert _restarts(history) >= ROUNDS // 3  # else the kills came too late to prove anything


async def _new_agents(ada: Person, chance: random.Random, agents: dict[str, Agent]) -> list[Agent]:
    """Each with a conversation of its own."""
    added = []
    for _ in range(AGENTS_PER_ROUND):
        conversation, content = await ada.create(), f"message {len(agents)}"
        transport = chance.choice(["ws", "sse"])
        agent = Agent(ada.http, ada.token, conversation, content, chance.randrange(20, 120), transport)
        agents[conversation] = agent
        added.append(agent)
    return added


async def _the_end(platform: Platform, ada: Person, agents: dict[str, Agent]) -> History:
    """Let every agent finish, then look at all that is stored."""
    await asyncio.to_thread(platform.wait_until_ready)
    async with asyncio.timeout(LAST_WORDS_SECONDS):
        await asyncio.gather(*(agent.done.wait() for agent in agents.values()))
    history = History()
    for conversation, agent in agents.items():
        agent.tell(history)
        history.messages[conversation] = await _stored(ada, conversation)
        assert agent.acknowledged is not None
        generation_id = agent.acknowledged.generation_id
        history.generations[generation_id] = await ada.generation(generation_id)
    return history


async def _stored(ada: Person, conversation: str) -> list[Json]:
    """Every message of the branch and, to find doubles, every sibling of one."""
    edges = (await ada.data(EVERYTHING, id=conversation))["conversation"]["messages"]["edges"]
    ids = [sibling for edge in edges for sibling in edge["node"]["siblingIds"]]
    return [(await ada.data(MESSAGE, id=message_id))["node"] for message_id in ids]


def _restarts(history: History) -> int:
    return sum(event["__typename"] == "GenerationRestarted" for reading in history.readings for event in reading.events)
