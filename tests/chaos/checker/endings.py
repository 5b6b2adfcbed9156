"""R2: each generation ends in one terminal state, within its deadline, and for a reason. R6: not for a SIGTERM."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from chaos.history import COSTS_NOTHING, History, Send
from chaos.operation import Json

TERMINAL = {"COMPLETED", "FAILED", "CANCELLED", "EXPIRED"}
MAX_ATTEMPTS = 3
SLACK_SECONDS = 0.5


def check(history: History) -> Iterator[str]:
    told: dict[str, list[Json]] = {}
    for reading in history.readings.values():
        told.setdefault(reading.generation, []).extend(reading.ends)
    for generation, send in history.generations():
        yield from _one_state(generation, history.states(generation), told.get(generation, []))
        for state in history.states(generation)[:1]:
            yield from _in_time(generation, state, send, history)
            yield from _for_a_reason(generation, state, send, history)


def _one_state(generation: str, states: list[Json], ends: list[Json]) -> Iterator[str]:
    """The same for every reader, now or later, and over every gateway."""
    if not states or states[0]["state"] not in TERMINAL:
        yield f"R2 generation {generation} has not ended: {[it['state'] for it in states]}"
        return
    if any(state != states[0] for state in states):
        yield f"R2 generation {generation} ended differently on two gateways: {states}"
    if any(end != ends[0] for end in ends):
        yield f"R2 generation {generation} ended differently for two readers: {[end['state'] for end in ends]}"
    for said in {end["state"] for end in ends} - {states[0]["state"]}:
        yield f"R2 generation {generation} was said to be {said} and is {states[0]['state']}"


def _in_time(generation: str, state: Json, send: Send, history: History) -> Iterator[str]:
    """Past the deadline counts only the time in which nothing was broken: a store that is away cannot be told."""
    if state["finished"] is None:
        return
    took = lifetime(state)
    due = send.acknowledged[0].time + history.deadline
    excused = history.broken_between(due, send.acknowledged[0].time + took)
    if took - excused > history.deadline + history.grace:
        yield f"R2 generation {generation} took {took:.1f} s, over its deadline of {history.deadline:.0f} s"
    if state["state"] == "EXPIRED" and took < history.deadline - SLACK_SECONDS:
        yield f"R2 generation {generation} expired after {took:.1f} s, before its deadline"


def _for_a_reason(generation: str, state: Json, send: Send, history: History) -> Iterator[str]:
    if state["state"] == "CANCELLED" and generation not in history.stops:
        yield f"R2 generation {generation} was cancelled and nobody stopped it"
    if state["state"] == "FAILED":
        end = send.acknowledged[0].time + lifetime(state)
        faults = [fault for fault in history.faults if fault.overlaps(send.invoked, end)]
        costly = [fault for fault in faults if fault.kind not in COSTS_NOTHING]
        if len(costly) < MAX_ATTEMPTS:
            promise = "R6" if len(faults) > len(costly) else "R2"
            kinds = [f"{fault.kind} {fault.target}" for fault in faults]
            yield f"{promise} generation {generation} failed without {MAX_ATTEMPTS} faults to blame: {kinds}"


def lifetime(state: Json) -> float:
    """Seconds from the request to the end."""
    started, finished = (datetime.fromisoformat(state[name]) for name in ("created", "finished"))
    return (finished - started).total_seconds()
