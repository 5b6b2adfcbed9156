"""Cuts a conversation until it fits a model's window: the oldest end goes first."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace

from parley_worker.core import ChatMessage

Messages = tuple[ChatMessage, ...]
Count = Callable[[Messages], int]


def room_for_prompt(context_length: int, max_tokens: int | None) -> int:
    """Tokens that a prompt may have: all but what the answer asks for, of which at most a quarter of the window."""
    quarter = max(1, context_length // 4)
    return context_length - min(max_tokens or quarter, quarter)


def fit(messages: Sequence[ChatMessage], count: Count, room: int) -> Messages:
    """The newest messages that have at most `room` tokens together, as `count` says, after the system prompt.

    What is left begins with a user's message, as chat templates ask for. When the last message alone is too long, its
    end is kept; a system prompt that leaves no place for it is shortened to half the room. Where nothing fits, the
    shortest that is left comes back. Counts a logarithmic number of times.
    """
    whole = tuple(messages)
    if count(whole) <= room:
        return whole
    system, turns = (whole[:1], whole[1:]) if whole[0].role == "system" else ((), whole)
    starts = [index for index, turn in enumerate(turns) if turn.role == "user"] or [len(turns) - 1]
    first = bisect_left(starts, True, key=lambda start: count(system + turns[start:]) <= room)
    if first < len(starts):
        return system + turns[starts[first] :]
    return _fit_one(system, turns[-1], count, room)


def _fit_one(system: Messages, last: ChatMessage, count: Count, room: int) -> Messages:
    if system and count((*system, _end(last, 1))) > room:
        kept = _longest(system[0], lambda size: count((_beginning(system[0], size), _end(last, 1))) <= room // 2)
        system = (_beginning(system[0], kept),) if kept else ()
    kept = _longest(last, lambda size: count((*system, _end(last, size))) <= room)
    return (*system, _end(last, max(kept, 1)))


def _longest(message: ChatMessage, fits: Callable[[int], bool]) -> int:
    """The most characters of the message that fit; 0 when not even one does."""
    return bisect_left(range(1, len(message.content) + 1), True, key=lambda size: not fits(size))


def _beginning(message: ChatMessage, size: int) -> ChatMessage:
    return replace(message, content=message.content[:size])


def _end(message: ChatMessage, size: int) -> ChatMessage:
    return replace(message, content=message.content[-size:])
