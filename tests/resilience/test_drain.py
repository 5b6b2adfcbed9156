"""R6: SIGTERM in the middle of answers loses nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.agent import Agent
from support.graphql import open_http
from support.history import History, violations
from support.people import Person, scripted, sign_up
from support.platform import SCRIPTED, free_port, group_members, start_platform

SLOW = {**SCRIPTED, "PARLEY_SCRIPTED_INTERVAL_MS": "50"}
TOKENS = 60


async def test_a_drained_platform_exits_with_0_and_the_answers_go_on_after_the_next_start(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    async with open_http(f"http://127.0.0.1:{port}") as http, asyncio.TaskGroup() as running:
        with start_platform(data, port=port, settings=SLOW) as platform:
            ada = await sign_up(http)
            conversations = [await ada.create() for _ in range(4)]
            agents = [
                Agent(http, ada.token, own, f"message {own}", TOKENS, transport)
                for own, transport in zip(conversations, ["ws", "sse"] * 2, strict=True)
            ]
            for agent in agents:
                running.create_task(agent.run())
            async with asyncio.timeout(10):
                await asyncio.gather(*(agent.reads.wait() for agent in agents))
            assert await asyncio.to_thread(platform.stop) == 0, platform.tail()
            assert group_members(platform.process.pid) == []
            assert not any(agent.done.is_set() for agent in agents)
        with start_platform(data, port=port, ready=False) as platform:
            async with asyncio.timeout(40):
                await asyncio.gather(*(agent.done.wait() for agent in agents))
            history = await _history(ada, agents, conversations)
    assert violations(history) == []
    assert {end["state"] for end in history.generations.values()} == {"COMPLETED"}
    assert {reading.ends[0]["message"]["content"] for reading in history.readings} == {scripted(TOKENS)}


async def _history(ada: Person, agents: list[Agent], conversations: list[str]) -> History:
    history = History()
    for agent, conversation in zip(agents, conversations, strict=True):
        agent.tell(history)
        history.messages[conversation] = await ada.messages(conversation)
    for sent in history.acknowledged:
        history.generations[sent.generation_id] = await ada.generation(sent.generation_id)
    return history
