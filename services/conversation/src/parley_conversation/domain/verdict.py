"""What is to be done with a generation that does not get on by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from parley_conversation.domain.generation import Generation, State

MOST_GROWTH = 10


class Verdict(StrEnum):
    CANCEL = "cancel"
    EXPIRE = "expire"
    FAIL = "fail"
    REQUEUE = "requeue"
    REQUEST_AGAIN = "request_again"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the sweep waits before it steps in.

    unclaimed: for a first claim; it grows with the time waited, up to ten times as long. cancel: for the worker's own
    answer to a stop.
    """

    unclaimed: timedelta = timedelta(seconds=3)
    cancel: timedelta = timedelta(seconds=1.5)


def judge(generation: Generation, now: datetime, patience: Patience) -> Verdict:
    """The one thing to do at `now`. A stop outweighs the deadline: the user asked first."""
    stopped_at = generation.cancel_requested_at
    if generation.state.terminal:
        return Verdict.WAIT
    if stopped_at is not None and now - stopped_at >= patience.cancel:
        return Verdict.CANCEL
    if now >= generation.deadline:
        return Verdict.EXPIRE
    if stopped_at is not None or _leased(generation, now):
        return Verdict.WAIT
    if generation.used_up:
        return Verdict.FAIL
    if generation.state is State.RUNNING:
        return Verdict.REQUEUE
    return Verdict.REQUEST_AGAIN if _waited_enough(generation, now, patience) else Verdict.WAIT


def _leased(generation: Generation, now: datetime) -> bool:
    return generation.lease_until is not None and now < generation.lease_until


def _waited_enough(generation: Generation, now: datetime, patience: Patience) -> bool:
    """Whether the latest request is older than the patience, and than all the waiting before it."""
    queued_at = generation.queued_at or generation.created_at
    grown = min(queued_at - generation.created_at, MOST_GROWTH * patience.unclaimed)
    return now - queued_at >= max(patience.unclaimed, grown)
