"""A store, the bus or the hot state is away: what is owed stays owed, holds up nothing else, and is paid later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parley_conversation.domain.generation import FinishReason, State
from parley_conversation.domain.outcome import Ending
from parley_kit.errors import Unavailable
from parley_proto.events.v1 import events_pb2 as events


def said(attempt: int) -> Ending:
    return Ending(State.COMPLETED, "Hi.", attempt, FinishReason.STOP)


class Flaky:
    """A port one of whose methods is away until it is mended."""

    def __init__(self, port: Any, broken: set[str]) -> None:
        self._port = port
        self._broken = broken

    def __getattr__(self, name: str) -> Any:
        if name not in self._broken:
            return getattr(self._port, name)

        async def away(*_arguments: Any, **_options: Any) -> None:
            raise Unavailable(f"{name} is away")

        return away


@pytest.mark.parametrize("broken", ["append", "index", "publish", "settle", "entitle"])
async def test_what_is_committed_is_acknowledged_and_made_good_later(
    open_world: Any, tmp_path: Path, broken: str
) -> None:
    """R1, R8: whichever store is away after the commit, the sweep pays the rest once it is back."""
    away: set[str] = set()
    async with open_world(tmp_path, wrap=lambda port: Flaky(port, away)) as world:
        conversation = await world.conversation()
        away.add(broken)
        sent = await world.send(conversation.id, "Hello", request_id="r")
        away.clear()
        world.clock.advance(2)
        await world.service.sweep.tick()
        assert await world.contents(conversation.id) == ["Hello"]
        assert world.bus.published(events.InferenceRequested)
        assert world.bus.published(events.MessageAppended)
        assert not (await world.stored(sent.generation.id)).outbox


@pytest.mark.parametrize("broken", ["append", "index", "publish", "settle", "end"])
async def test_an_end_is_kept_and_made_good_later(open_world: Any, tmp_path: Path, broken: str) -> None:
    away: set[str] = set()
    async with open_world(tmp_path, wrap=lambda port: Flaky(port, away)) as world:
        generation = await world.sent()
        attempt = await world.claim(generation)
        away.add(broken)
        assert await world.service.endings.apply(generation.id, attempt, said(attempt))
        away.clear()
        world.clock.advance(2)
        await world.service.sweep.tick()
        assert await world.contents(generation.conversation_id) == ["Hello", "Hi."]
        assert await world.ends(generation) == 1
        assert (await world.stored(generation.id)).answer_stored


async def test_while_the_search_index_is_away_questions_are_answered_and_read(open_world: Any, tmp_path: Path) -> None:
    async with open_world(tmp_path, wrap=lambda port: Flaky(port, {"index"})) as world:
        generation = await world.sent()
        assert world.bus.published(events.InferenceRequested)
        attempt = await world.claim(generation)
        assert await world.service.endings.apply(generation.id, attempt, said(attempt))
        assert await world.ends(generation) == 1
        assert await world.contents(generation.conversation_id) == ["Hello", "Hi."]
        owed = (await world.stored(generation.id)).outbox
        assert [debt.message.content for debt in owed] == ["Hello", "Hi."]


async def test_while_the_chat_log_is_away_a_finished_generation_is_not_shown(open_world: Any, tmp_path: Path) -> None:
    away: set[str] = set()
    async with open_world(tmp_path, wrap=lambda port: Flaky(port, away)) as world:
        generation = await world.sent()
        attempt = await world.claim(generation)
        away.add("append")
        await world.service.endings.apply(generation.id, attempt, said(attempt))
        with pytest.raises(Unavailable):
            await world.service.handlers.generations.get(world.owner, generation.id)
        away.clear()
        shown = await world.service.handlers.generations.get(world.owner, generation.id)
        assert shown.answer_stored
