"""Random histories, the same on Cassandra and on its embedded twin: every answer is equal."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from parley_conversation.adapters.sqlite import open_stores
from parley_conversation.domain.conversation import Message, Role
from parley_conversation.ports import ChatLog
from parley_conversation.testing.harness import message
from parley_kit.ids import new_id

BORDERS = (1, 4_999, 5_000, 5_001, 9_999, 10_000, 14_998, 20_001)
STEPS = 150


@pytest.fixture
async def twin(tmp_path: Path) -> AsyncIterator[ChatLog]:
    async with open_stores(tmp_path / "conversation.sqlite3") as stores:
        yield stores.chat_log


@pytest.mark.parametrize("seed", range(4))
async def test_both_tell_the_same(chat_log: ChatLog, twin: ChatLog, seed: int) -> None:
    """Appends in any order and again, pages, gets, ids, siblings, deletions, around the borders of buckets."""
    draw = random.Random(seed)
    chats = [_chat(draw) for _ in range(3)]
    for _ in range(STEPS):
        chat = draw.choice(chats)
        step = draw.choices((_append, _before, _get, _locate, _siblings, _delete), (12, 6, 3, 3, 3, 1))[0]
        await step(draw, chat, chat_log, twin)
        if step is _delete:
            chats[chats.index(chat)] = _chat(draw)
    for chat in chats:
        assert await chat_log.before(chat[0].conversation_id, None, 500) == await twin.before(
            chat[0].conversation_id, None, 500
        )


def _chat(draw: random.Random) -> list[Message]:
    """What a conversation may be told, around a few borders; each message's parent is one below it, or none."""
    conversation_id = new_id()
    seqs = sorted({border + draw.randrange(8) for border in draw.sample(BORDERS, 3) for _ in range(8)})
    return [_message(draw, conversation_id, seq, [None, *seqs[:place]]) for place, seq in enumerate(seqs)]


def _message(draw: random.Random, conversation_id: str, seq: int, parents: list[int | None]) -> Message:
    others = {
        "generation_id": draw.choice([None, new_id()]),
        "model": draw.choice([None, "scripted"]),
        "finish_reason": draw.choice([None, "stop"]),
        "prompt_tokens": draw.choice([None, 0, 7]),
        "completion_tokens": draw.choice([None, 0, 9]),
    }
    made = message(conversation_id, seq, draw.choice(["x", "é\0", "😀" * 9]), draw.choice(parents[-4:]), **others)
    return made if draw.random() < 0.5 else _as_assistant(made)


def _as_assistant(made: Message) -> Message:
    return replace(made, role=Role.ASSISTANT)


async def _append(draw: random.Random, chat: list[Message], *logs: ChatLog) -> None:
    """Some at once, each perhaps for the second time."""
    some = draw.choices(chat, k=draw.randrange(1, 5))
    for log in logs:
        await asyncio.gather(*map(log.append, some))


async def _before(draw: random.Random, chat: list[Message], one: ChatLog, other: ChatLog) -> None:
    seq = draw.choice([None, 0, 2**40, *(each.seq + 1 for each in chat), *BORDERS])
    arguments = (chat[0].conversation_id, seq, draw.choice([1, 2, 5, 200]))
    assert await one.before(*arguments) == await other.before(*arguments)


async def _get(draw: random.Random, chat: list[Message], one: ChatLog, other: ChatLog) -> None:
    seqs = [each.seq + draw.randrange(2) for each in draw.choices(chat, k=5)]
    found, expected = [await log.get(chat[0].conversation_id, seqs) for log in (one, other)]
    assert _sorted(found) == _sorted(expected)


async def _locate(draw: random.Random, chat: list[Message], one: ChatLog, other: ChatLog) -> None:
    message_ids = [each.id for each in draw.choices(chat, k=5)] + ["", "nobody's", "x" * 70_000]
    found, expected = [await log.locate(message_ids) for log in (one, other)]
    assert _sorted(found) == _sorted(expected)


async def _siblings(draw: random.Random, chat: list[Message], one: ChatLog, other: ChatLog) -> None:
    parents = [None, *(each.seq for each in draw.choices(chat, k=5))]
    arguments = (chat[0].conversation_id, parents)
    assert await one.siblings(*arguments) == await other.siblings(*arguments)


async def _delete(_: random.Random, chat: list[Message], *logs: ChatLog) -> None:
    for log in logs:
        await log.delete(chat[0].conversation_id)


def _sorted(messages: object) -> list[Message]:
    assert isinstance(messages, list | tuple)
    return sorted(messages, key=lambda each: each.seq)
