"""What a worker needs of the owner of generations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from parley_worker.core import ModelInfo


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to answer a generation. `attempt` fences all that is written for it.

    `deadline` (the generation's) and `expires_at` (the lease's, if nothing renews it) are on the monotonic clock of
    this process; `seconds` is what a renewal adds, counted from the moment before it was asked for.
    """

    generation_id: str
    attempt: int
    deadline: float
    expires_at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a heartbeat brought: generations to end because a user stopped them, and those that are ours no more."""

    cancelled: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()


class Coordinator(Protocol):
    """The conversation service as workers see it. Calls raise ParleyErrors: Unavailable, DeadlineExceeded ..."""

    async def claim(self, generation_id: str) -> Lease | None:
        """Take the lease. None: somebody holds it, or nothing is left to do: drop the request."""
        ...

    async def heartbeat(self, model: ModelInfo, leases: Sequence[Lease]) -> Verdict:
        """Renew all leases that still hold, and announce the model."""
        ...

    async def release(self, leases: Sequence[Lease], shutting_down: bool = False) -> None:
        """Give leases back: the generations are queued again at once. Harmless for those that are ours no more.

        shutting_down: it is no fault of the generations, and does not count toward their attempts.
        """
        ...
