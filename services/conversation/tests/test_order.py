"""A message follows what was acknowledged before it, also when that was not in the chat log yet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from parley_bus import Record
from parley_bus.events import from_record
from parley_conversation.domain.conversation import Message
from parley_conversation.domain.generation import FinishReason, Generation, State
from parley_conversation.domain.outcome import Ending
from parley_kit.errors import Unavailable
from parley_proto.events.v1 import events_pb2 as events


class Log:
    """A chat log that can be away for writing, and that tells when its newest message was read."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.away = False
        self.was_read = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    async def append(self, message: Message) -> None:
        if self.away:
            raise Unavailable("the log is away")
        await self._port.append(message)

    async def before(self, conversation_id: str, seq: int | None, most: int) -> Sequence[Message]:
        found: Sequence[Message] = await self._port.before(conversation_id, seq, most)
        self.was_read.set()
        return found


class LateLook:
    """Generations whose debts are looked for after the newest message was read, if anybody reads it meanwhile, and
    after the sweep of another process has paid them."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.pay: Any = None
        self.log: Log | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    async def unsettled(self, conversation_id: str) -> Sequence[Generation]:
        pay, self.pay = self.pay, None
        if pay is not None and self.log is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.log.was_read.wait()
            await pay()
        found: Sequence[Generation] = await self._port.unsettled(conversation_id)
        return found


class Wraps:
    """Wraps the two ports, and keeps what it made of them."""

    def __init__(self) -> None:
        self.log: Log | None = None
        self.generations: LateLook | None = None

    def __call__(self, port: Any) -> Any:
        if hasattr(port, "siblings"):
            self.log = Log(port)
            return self.log
        if hasattr(port, "unsettled"):
            self.generations = LateLook(port)
            return self.generations
        return port


async def test_a_message_follows_one_that_is_still_owed_to_the_log(open_world: Any, tmp_path: Path) -> None:
    wraps = Wraps()
    async with open_world(tmp_path, wrap=wraps) as world:
        conversation = await world.conversation()
        assert wraps.log is not None
        wraps.log.away = True
        first = await world.send(conversation.id, "one")
        wraps.log.away = False
        second = await world.send(conversation.id, "two")
        assert second.user_message.message.parent_id == first.generation.user_message_id


async def test_a_message_follows_one_that_is_paid_while_it_is_sent(open_world: Any, tmp_path: Path) -> None:
    """The newest message is read, then another process pays what is owed, then there are no debts to be found."""
    wraps = Wraps()
    async with open_world(tmp_path, wrap=wraps) as world:
        conversation = await world.conversation()
        assert wraps.log is not None
        assert wraps.generations is not None
        wraps.log.away = True
        first = await world.send(conversation.id, "one")
        wraps.log.away = False
        world.clock.advance(2)
        wraps.log.was_read.clear()
        wraps.generations.pay, wraps.generations.log = world.service.sweep.tick, wraps.log
        second = await world.send(conversation.id, "two")
        assert second.user_message.message.parent_id == first.generation.user_message_id
        assert await world.contents(conversation.id) == ["one", "two"]


async def test_a_message_follows_an_answer_that_is_still_owed_to_the_log(open_world: Any, tmp_path: Path) -> None:
    wraps = Wraps()
    async with open_world(tmp_path, wrap=wraps) as world:
        generation = await world.sent("one")
        assert wraps.log is not None
        lease = await world.service.leases.claim(generation.id, "worker-1")
        wraps.log.away = True
        await world.service.endings.apply(
            generation.id, lease.attempt, Ending(State.COMPLETED, "Hi.", lease.attempt, FinishReason.STOP)
        )
        wraps.log.away = False
        second = await world.send(generation.conversation_id, "two")
        assert second.user_message.message.parent_id == generation.answer_id


class Refusing:
    """A bus that does not take the next `refusals` facts about messages."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.refusals = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    async def publish(self, record: Record) -> None:
        if self.refusals and isinstance(from_record(record), events.MessageAppended):
            self.refusals -= 1
            raise Unavailable("the bus is away")
        await self._port.publish(record)


async def test_the_bus_is_told_of_an_answer_after_its_question(open_world: Any, tmp_path: Path) -> None:
    """Also when the question is still owed as the answer ends, and the bus is away for one more moment."""
    buses: list[Refusing] = []

    def wrap(port: Any) -> Any:
        if not hasattr(port, "publish"):
            return port
        buses.append(Refusing(port))
        return buses[0]

    async with open_world(tmp_path, wrap=wrap) as world:
        buses[0].refusals = 2
        generation = await world.sent("one")
        lease = await world.service.leases.claim(generation.id, "worker-1")
        await world.service.endings.apply(
            generation.id, lease.attempt, Ending(State.COMPLETED, "Hi.", lease.attempt, FinishReason.STOP)
        )
        world.clock.advance(3)
        await world.service.sweep.tick()
        told = [event.message.id for event in world.bus.published(events.MessageAppended)]
        assert told == [generation.user_message_id, generation.answer_id]


class Overtaken:
    """Places in a conversation and its log: between the first reservation and the look at the newest message another
    process sends."""

    def __init__(self) -> None:
        self.send: Any = None
        self.sent = asyncio.Event()

    def __call__(self, port: Any) -> Any:
        if hasattr(port, "reserve"):
            return self._patched(port, "reserve", self._reserve)
        if hasattr(port, "siblings"):
            return self._patched(port, "before", self._before)
        return port

    def _patched(self, port: Any, name: str, method: Any) -> Any:
        real = getattr(port, name)
        setattr(port, name, lambda *arguments: method(real, *arguments))
        return port

    async def _reserve(self, real: Any, *arguments: Any) -> Any:
        seq = await real(*arguments)
        send, self.send = self.send, None
        if send is not None:
            await send()
            self.sent.set()
        return seq

    async def _before(self, real: Any, *arguments: Any) -> Any:
        if self.send is not None:
            await self.sent.wait()
        return await real(*arguments)


async def test_no_message_follows_one_of_a_later_place(open_world: Any, tmp_path: Path) -> None:
    """Whoever reads up a branch comes from higher places to lower ones."""
    overtaken = Overtaken()
    async with open_world(tmp_path) as other, open_world(tmp_path, wrap=overtaken) as world:
        other.owner = world.owner
        conversation = await world.conversation()
        first = (await world.send(conversation.id, "one")).user_message.message
        overtaken.send = lambda: other.send(conversation.id, "three")
        second = (await world.send(conversation.id, "two")).user_message.message
        assert overtaken.sent.is_set()
        assert second.parent_seq == first.seq < second.seq
