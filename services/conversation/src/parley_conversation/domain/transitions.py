"""How a generation's document may change: each function gives the changed one, or None when it may not.

Stores make them durable by a compare-and-set, so that of two racing writers one is refused.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from parley_conversation.domain.generation import Debt, Generation, Outcome, RequestInference, State
from parley_kit.ids import new_id


def claim(it: Generation, worker_id: str, now: datetime, lease_until: datetime) -> Generation | None:
    free = it.state is State.QUEUED or (it.state is State.RUNNING and _lease_is_out(it, now))
    if not free or it.cancel_requested_at or it.used_up or it.deadline <= now:
        return None
    return replace(it, state=State.RUNNING, attempt=it.attempt + 1, worker_id=worker_id, lease_until=lease_until)


def renew(it: Generation, worker_id: str, attempt: int, lease_until: datetime) -> Generation | None:
    """A renewal that comes late, after a newer one, takes nothing of the lease away."""
    held = it.state is State.RUNNING and it.worker_id == worker_id and it.attempt == attempt
    return replace(it, lease_until=max(lease_until, it.lease_until or lease_until)) if held else None


def requeue(it: Generation, attempt: int, now: datetime, handed_back: bool) -> Generation | None:
    if it.state is not State.RUNNING or it.attempt != attempt:
        return None
    free = replace(it, state=State.QUEUED, worker_id=None, lease_until=None)
    return _asked_again(replace(free, handed_back=it.handed_back + handed_back), now)


def request_again(it: Generation, now: datetime) -> Generation | None:
    return _asked_again(it, now) if it.state is State.QUEUED else None


def request_cancel(it: Generation, now: datetime) -> Generation | None:
    return None if it.state.terminal else replace(it, cancel_requested_at=it.cancel_requested_at or now)


def finish(it: Generation, attempt: int, outcome: Outcome) -> Generation | None:
    if it.state.terminal or it.attempt != attempt:
        return None
    return replace(
        it,
        state=outcome.state,
        began_attempt=outcome.began_attempt,
        finished_at=outcome.finished_at,
        finish_reason=outcome.finish_reason,
        usage=outcome.usage,
        failure=outcome.failure,
        worker_id=None,
        lease_until=None,
        outbox=_without_requests(it.outbox) + outcome.outbox,
    )


def fence(it: Generation, attempt: int) -> Generation | None:
    if it.state.terminal or it.attempt != attempt:
        return None
    return replace(it, attempt=attempt + 1, worker_id=None, lease_until=None)


def _lease_is_out(generation: Generation, now: datetime) -> bool:
    return generation.lease_until is None or generation.lease_until <= now


def _without_requests(outbox: tuple[Debt, ...]) -> tuple[Debt, ...]:
    return tuple(debt for debt in outbox if not isinstance(debt, RequestInference))


def _asked_again(generation: Generation, now: datetime) -> Generation:
    outbox = (*_without_requests(generation.outbox), RequestInference(new_id()))
    return replace(generation, queued_at=now, outbox=outbox)
