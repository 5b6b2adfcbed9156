"""The schema's enums, and what they are on the wire behind the gateway."""

from __future__ import annotations

from enum import Enum

import strawberry

from parley_proto.conversation.v1 import types_pb2


@strawberry.enum
class Role(Enum):
    SYSTEM = "SYSTEM"
    USER = "USER"
    ASSISTANT = "ASSISTANT"


@strawberry.enum
class GenerationState(Enum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


@strawberry.enum(description="LENGTH: maxTokens or the model's window was reached.")
class FinishReason(Enum):
    STOP = "STOP"
    LENGTH = "LENGTH"
    CANCELLED = "CANCELLED"
    ERROR = "ERROR"


def role_of(value: types_pb2.Role.ValueType) -> Role:
    return Role[types_pb2.Role.Name(value).removeprefix("ROLE_")]


def state_of(value: types_pb2.GenerationState.ValueType) -> GenerationState:
    return GenerationState[types_pb2.GenerationState.Name(value).removeprefix("GENERATION_STATE_")]


def finish_reason_of(value: types_pb2.FinishReason.ValueType) -> FinishReason | None:
    """None while there is none."""
    if value == types_pb2.FINISH_REASON_UNSPECIFIED:
        return None
    return FinishReason[types_pb2.FinishReason.Name(value).removeprefix("FINISH_REASON_")]
