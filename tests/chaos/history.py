"""A history by subject: what was sent, read, stopped, broken, and found in the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos.operation import Json, Operation

LOSES_STREAMS = {"redis", "platform"}
"""The targets whose death loses the hot state: Redis, and the embedded platform as a whole."""
LOSING = {"kill", "terminate", "flush"}
COSTS_NOTHING = {"terminate"}
"""Faults that may cost no generation an attempt: R6."""


@dataclass(frozen=True)
class Acknowledgement:
    time: float
    message: str
    generation: str


@dataclass
class Send:
    """One request, over all its repetitions."""

    request: str
    conversation: str
    content: str
    tokens: int
    invoked: float
    acknowledged: list[Acknowledgement] = field(default_factory=list)


@dataclass(frozen=True)
class Connection:
    """One subscription: from where it was asked for, what it told, and whether it came to its end."""

    time: float
    after: int
    attempt: int | None
    events: Sequence[Json]
    ended: bool


@dataclass
class Reading:
    """What one reader was told of one generation, over all its connections."""

    process: str
    generation: str
    connections: list[Connection] = field(default_factory=list)

    @property
    def ends(self) -> list[Json]:
        every = (event for connection in self.connections for event in connection.events)
        return [event["finished"] for event in every if "finished" in event]


@dataclass
class Fault:
    kind: str
    target: str
    start: float
    end: float = float("inf")

    def overlaps(self, start: float, end: float) -> bool:
        return self.start <= end and self.end >= start

    @property
    def loses_streams(self) -> bool:
        return self.target in LOSES_STREAMS and self.kind in LOSING


@dataclass(frozen=True)
class Final:
    """All that is stored of a conversation, as one gateway tells it after the quiet."""

    conversation: str
    gateway: str
    messages: Sequence[Json]
    generations: dict[str, Json]

    def answers(self, generation: str) -> list[Json]:
        return [message for message in self.messages if message["generation"] == generation]


@dataclass
class History:
    deadline: float = 600.0
    grace: float = 15.0
    sends: dict[str, Send] = field(default_factory=dict)
    readings: dict[tuple[str, str], Reading] = field(default_factory=dict)
    stops: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    finals: list[Final] = field(default_factory=list)
    found: list[Json] = field(default_factory=list)
    refusals: list[Operation] = field(default_factory=list)

    def generations(self) -> Iterator[tuple[str, Send]]:
        """Each acknowledged generation with the request that began it."""
        for send in self.sends.values():
            for generation in dict.fromkeys(it.generation for it in send.acknowledged):
                yield generation, send

    def broken_between(self, start: float, end: float) -> float:
        """Seconds of it in which at least one thing was broken."""
        seconds, until = 0.0, start
        for fault in sorted(self.faults, key=lambda it: it.start):
            since, till = max(fault.start, until), min(fault.end, end)
            if till > since:
                seconds, until = seconds + till - since, till
        return seconds

    def states(self, generation: str) -> list[Json]:
        """What each gateway says of it in the end."""
        return [final.generations[generation] for final in self.finals if generation in final.generations]


def of(operations: Iterable[Operation]) -> History:
    history = History()
    for operation in operations:
        if operation.type == "fail" or "error" in operation.value:
            history.refusals.append(operation)
        if add := _ADD.get(operation.f):
            add(history, operation)
    return history


def _setup(history: History, operation: Operation) -> None:
    history.deadline = operation.value.get("deadline", history.deadline)
    history.grace = operation.value.get("grace", history.grace)


def _send(history: History, operation: Operation) -> None:
    value: Any = operation.value
    send = history.sends.get(value["request"])
    if send is None:
        fields = {name: value[name] for name in ("request", "conversation", "content", "tokens")}
        send = history.sends[value["request"]] = Send(**fields, invoked=operation.time)
    if operation.type == "ok":
        send.acknowledged.append(Acknowledgement(operation.time, value["message"], value["generation"]))


def _stop(history: History, operation: Operation) -> None:
    history.stops.add(operation.value["generation"])


def _read(history: History, operation: Operation) -> None:
    value, place = operation.value, (operation.process, operation.value["generation"])
    reading = history.readings.setdefault(place, Reading(*place))
    if operation.type in {"ok", "info"}:
        told = (value["after"], value["attempt"], value["events"])
        reading.connections.append(Connection(operation.time, *told, ended=operation.type == "ok"))


def _fault(history: History, operation: Operation) -> None:
    kind, target = operation.value["kind"], operation.value["target"]
    if operation.type == "invoke":
        history.faults.append(Fault(kind, target, operation.time))
        return
    for fault in reversed(history.faults):
        if (fault.kind, fault.target) == (kind, target):
            fault.end = operation.time
            return


def _final(history: History, operation: Operation) -> None:
    if operation.type == "ok":
        value = operation.value
        history.finals.append(Final(value["conversation"], value["gateway"], value["messages"], value["generations"]))


def _pry(history: History, operation: Operation) -> None:
    if operation.type == "ok":
        history.found.append(operation.value)


_ADD = {
    "setup": _setup, "send": _send, "stop": _stop, "read": _read, "fault": _fault, "final": _final, "pry": _pry,
}  # fmt: skip
