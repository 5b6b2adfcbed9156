"""The owner of generations as a worker sees it, in memory: claims by compare-and-set, leases, cancels."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from parley_kit.clock import Clock
from parley_proto.conversation.v1 import worker_pb2 as worker
from parley_proto.conversation.v1.worker_pb2_grpc import WorkerServiceServicer
from parley_worker.testing.wakeup import Wakeup


@dataclass
class Owned:
    """A generation. `holder` is the worker that has its lease."""

    deadline: datetime
    attempt: int = 0
    holder: str | None = None
    cancelled: bool = False
    finished: bool = False


async def _nothing(generation_id: str) -> None:
    pass


@dataclass
class GenerationOwner(WorkerServiceServicer):
    """Set `error` to make every call fail with it, as while the service is away. `called` tells of each call."""

    clock: Clock
    on_release: Callable[[str], None]
    lease_seconds: float = 6.0
    generations: dict[str, Owned] = field(default_factory=dict)
    heartbeats: list[worker.HeartbeatRequest] = field(default_factory=list)
    claims: list[worker.ClaimRequest] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    shut_down: list[str] = field(default_factory=list)
    before_claim: Callable[[str], Awaitable[None]] = _nothing
    error: Exception | None = None
    failed_claims: int = 0
    called: Wakeup = field(default_factory=Wakeup)

    async def Claim(self, request: worker.ClaimRequest, context: Any) -> worker.ClaimResponse:  # noqa: N802
        self.failed_claims += self.error is not None
        self._answerable()
        self.claims.append(request)
        await self.before_claim(request.generation_id)
        owned = self.generations.get(request.generation_id)
        if owned is None or owned.holder or owned.cancelled or owned.finished:
            return worker.ClaimResponse(outcome=worker.ClaimResponse.OUTCOME_REFUSED)
        owned.attempt, owned.holder = owned.attempt + 1, request.worker_id
        answer = worker.ClaimResponse(
            outcome=worker.ClaimResponse.OUTCOME_GRANTED, attempt=owned.attempt, lease_seconds=self.lease_seconds
        )
        answer.deadline.FromDatetime(owned.deadline)
        return answer

    async def Heartbeat(self, request: worker.HeartbeatRequest, context: Any) -> worker.HeartbeatResponse:  # noqa: N802
        self._answerable()
        self.heartbeats.append(request)
        answer = worker.HeartbeatResponse()
        for lease in request.leases:
            if not self._holds(request.worker_id, lease):
                answer.lost_ids.append(lease.generation_id)
            elif self.generations[lease.generation_id].cancelled:
                answer.cancelled_ids.append(lease.generation_id)
        return answer

    async def Release(self, request: worker.ReleaseRequest, context: Any) -> worker.ReleaseResponse:  # noqa: N802
        self._answerable()
        for lease in request.leases:
            if self._holds(request.worker_id, lease):
                self.generations[lease.generation_id].holder = None
                self.released.append(lease.generation_id)
                if request.shutting_down:
                    self.shut_down.append(lease.generation_id)
                self.on_release(lease.generation_id)
        return worker.ReleaseResponse()

    def _holds(self, worker_id: str, lease: worker.HeldLease) -> bool:
        owned = self.generations.get(lease.generation_id)
        return owned is not None and (owned.holder, owned.attempt) == (worker_id, lease.attempt)

    def _answerable(self) -> None:
        self.called.notify()
        if self.error is not None:
            raise self.error
