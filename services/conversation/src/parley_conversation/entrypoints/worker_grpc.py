"""WorkerService: for Parley's own workers, by the service token."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from parley_conversation import convert
from parley_conversation.domain.rules import MAX_MODEL_NAME
from parley_conversation.handlers.leases import LeaseHandlers
from parley_kit.errors import BadInput
from parley_kit.ids import parse_id
from parley_proto.conversation.v1 import worker_pb2 as wire
from parley_proto.conversation.v1 import worker_pb2_grpc


class WorkerServicer(worker_pb2_grpc.WorkerServiceServicer):
    def __init__(self, leases: LeaseHandlers) -> None:
        self._leases = leases

    async def Claim(self, request: wire.ClaimRequest, context: Any) -> wire.ClaimResponse:  # noqa: N802
        generation_id = parse_id(request.generation_id, "generationId")
        lease = await self._leases.claim(generation_id, _worker_id(request.worker_id))
        if lease is None:
            return wire.ClaimResponse(outcome=wire.ClaimResponse.OUTCOME_REFUSED)
        return wire.ClaimResponse(
            outcome=wire.ClaimResponse.OUTCOME_GRANTED,
            attempt=lease.attempt,
            deadline=convert.timestamp(lease.deadline),
            lease_seconds=lease.seconds,
        )

    async def Heartbeat(self, request: wire.HeartbeatRequest, context: Any) -> wire.HeartbeatResponse:  # noqa: N802
        pulse = await self._leases.heartbeat(
            _worker_id(request.worker_id), request.model, request.context_length, _held(request.leases)
        )
        return wire.HeartbeatResponse(cancelled_ids=pulse.cancelled, lost_ids=pulse.lost)

    async def Release(self, request: wire.ReleaseRequest, context: Any) -> wire.ReleaseResponse:  # noqa: N802
        _worker_id(request.worker_id)
        await self._leases.release(_held(request.leases), request.shutting_down)
        return wire.ReleaseResponse()


def _held(leases: Iterable[wire.HeldLease]) -> dict[str, int]:
    return {parse_id(lease.generation_id, "generationId"): lease.attempt for lease in leases}


def _worker_id(worker_id: str) -> str:
    if not 0 < len(worker_id) <= MAX_MODEL_NAME:
        raise BadInput("workerId has 1 to 200 characters", "workerId")
    return worker_id
