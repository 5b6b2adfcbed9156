"""The judge of histories: what clients were told and saw, against what was stored in the end. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
TERMINAL = {"COMPLETED", "FAILED", "CANCELLED", "EXPIRED"}
WITHOUT_ANSWER = {"FAILED", "EXPIRED"}
"""What was streamed of an answer that failed may be lost with the process that streamed it: no one stored it."""


@dataclass(frozen=True)
class Acknowledged:
    """A send that the platform said yes to. Its content is unlike any other."""

    conversation_id: str
    content: str
    message_id: str
    generation_id: str


@dataclass(frozen=True)
class Reading:
    """The events of one reader of one generation, over all its connections, in order."""

    generation_id: str
    events: list[Json]

    @property
    def ends(self) -> list[Json]:
        return [event for event in self.events if event["__typename"] == "GenerationFinished"]


@dataclass
class History:
    """What happened. messages: all that is stored in the end, of every branch, by conversation. generations: by id."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    messages: dict[str, list[Json]] = field(default_factory=dict)
    generations: dict[str, Json] = field(default_factory=dict)

    def answers(self, generation_id: str) -> list[str]:
        """The texts stored for a generation."""
        every = (message for messages in self.messages.values() for message in messages)
        return [it["content"] for it in every if it["generation"] and it["generation"]["id"] == generation_id]


def violations(history: History) -> list[str]:
    """Every broken promise, in words; empty for a history that is well."""
    misread = (told for reading in history.readings for told in _misread(history, reading))
    return [*_lost_or_doubled(history), *_not_ended_once(history), *misread]


def _lost_or_doubled(history: History) -> Iterator[str]:
    """R1: an acknowledged message is never lost and is stored once; so is its answer."""
    for sent in history.acknowledged:
        stored = [it["id"] for it in history.messages.get(sent.conversation_id, []) if it["content"] == sent.content]
        if stored != [sent.message_id]:
            yield f"R1 {sent.content!r} was acknowledged as {sent.message_id} and is stored as {stored}"
        if len(history.answers(sent.generation_id)) > 1:
            yield f"R1 generation {sent.generation_id} has several answers"
    uses = Counter(sent.generation_id for sent in history.acknowledged)
    yield from (f"R1 generation {it} answers {count} messages" for it, count in uses.items() if count > 1)


def _not_ended_once(history: History) -> Iterator[str]:
    """R2: each generation ends in exactly one terminal state, the same for all who ask."""
    for sent in history.acknowledged:
        end = history.generations.get(sent.generation_id)
        if end is None or end["state"] not in TERMINAL:
            yield f"R2 generation {sent.generation_id} has not ended"
    told: dict[str, Json] = {}
    for reading in history.readings:
        for end in reading.ends:
            if end != told.setdefault(reading.generation_id, end):
                yield f"R2 generation {reading.generation_id} ended differently for two readers"
            if end["state"] != history.generations.get(reading.generation_id, {}).get("state"):
                yield f"R2 generation {reading.generation_id} was said to be {end['state']}"


def _misread(history: History, reading: Reading) -> Iterator[str]:
    """R3: gap-free, duplicate-free text or an explicit restart, then exactly one end, with the text as it is stored."""
    where, held = f"R3 generation {reading.generation_id}", ""
    for event in reading.events:
        if event["__typename"] == "TokenDelta":
            if event["offset"] != len(held) or not event["text"]:
                yield f"{where}: {event['text']!r} at {event['offset']} when {len(held)} were held"
                return
            held += event["text"]
        elif event["__typename"] == "GenerationRestarted":
            held = ""
    if reading.events[-1:] != reading.ends:
        yield f"{where}: {len(reading.ends)} ends"
        return
    message = reading.ends[0]["message"]
    told = [] if message is None else [message["content"]]
    if told != history.answers(reading.generation_id):
        yield f"{where}: the end has another text than the store"
    if "".join(told) != held and not (message is None and reading.ends[0]["state"] in WITHOUT_ANSWER):
        yield f"{where}: read {held[-40:]!r}, ended as {''.join(told)[-40:]!r}"
