"""The coordinator over gRPC: `conversation.v1.WorkerService`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import grpc.aio

from parley_kit.clock import Clock
from parley_proto.conversation.v1 import worker_pb2 as worker
from parley_proto.conversation.v1 import worker_pb2_grpc as services
from parley_worker.core import ModelInfo
from parley_worker.ports import Lease, Verdict

CALL_SECONDS = 2.0
"""The longest wait for one answer: less than a lease, so that a call that hangs can be tried again in time."""


class GrpcCoordinator:
    def __init__(self, channel: grpc.aio.Channel, worker_id: str, clock: Clock) -> None:
        self._stub: services.WorkerServiceAsyncStub = services.WorkerServiceStub(channel)
        self._worker_id = worker_id
        self._clock = clock

    async def claim(self, generation_id: str) -> Lease | None:
        asked_at = self._clock.monotonic()
        request = worker.ClaimRequest(generation_id=generation_id, worker_id=self._worker_id)
        answer = await self._stub.Claim(request, timeout=CALL_SECONDS)
        if answer.outcome != worker.ClaimResponse.OUTCOME_GRANTED:
            return None
        left = answer.deadline.seconds + answer.deadline.nanos / 1e9 - self._clock.now().timestamp()
        return Lease(
            generation_id,
            answer.attempt,
            deadline=self._clock.monotonic() + left,
            expires_at=asked_at + answer.lease_seconds,
            seconds=answer.lease_seconds,
        )

    async def heartbeat(self, model: ModelInfo, leases: Sequence[Lease]) -> Verdict:
        request = worker.HeartbeatRequest(
            worker_id=self._worker_id,
            model=model.name,
            context_length=model.context_length,
            capacity=model.capacity,
            leases=_held(leases),
        )
        answer = await self._stub.Heartbeat(request, timeout=CALL_SECONDS)
        return Verdict(frozenset(answer.cancelled_ids), frozenset(answer.lost_ids))

    async def release(self, leases: Sequence[Lease], shutting_down: bool = False) -> None:
        request = worker.ReleaseRequest(worker_id=self._worker_id, leases=_held(leases), shutting_down=shutting_down)
        await self._stub.Release(request, timeout=CALL_SECONDS)


def _held(leases: Iterable[Lease]) -> list[worker.HeldLease]:
    return [worker.HeldLease(generation_id=lease.generation_id, attempt=lease.attempt) for lease in leases]
