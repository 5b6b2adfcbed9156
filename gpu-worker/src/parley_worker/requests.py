"""What arrives on the bus, as the worker's own values."""

from __future__ import annotations

from datetime import UTC, datetime

from parley_bus.base import Record
from parley_bus.events import from_record
from parley_kit.errors import BadInput
from parley_proto.conversation.v1 import types_pb2 as types
from parley_proto.events.v1.events_pb2 import InferenceRequested
from parley_worker.core import ChatMessage, Job, Prefix, SamplingParams

_ROLES = {types.ROLE_SYSTEM: "system", types.ROLE_USER: "user", types.ROLE_ASSISTANT: "assistant"}


def decode(record: Record) -> InferenceRequested:
    """The request in a record. Raises BadInput for what no worker can ever take: a case for the DLQ."""
    event = from_record(record)
    if not isinstance(event, InferenceRequested):
        raise BadInput(f"not a request for inference: {type(event).__name__}")
    if not event.generation_id or not event.messages:
        raise BadInput("a request without a generation or without messages")
    if any(message.role not in _ROLES for message in event.messages):
        raise BadInput("a message of an unknown role")
    try:
        deadline_of(event)
    except ValueError:
        raise BadInput("a deadline that is no time") from None
    return event


def deadline_of(request: InferenceRequested) -> datetime:
    return request.deadline.ToDatetime(tzinfo=UTC)


def published_at(record: Record) -> datetime | None:
    """When the record was made; None when it does not say so."""
    try:
        return datetime.fromisoformat(record.headers.get("ce_time", "")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def to_job(request: InferenceRequested, resume: Prefix, deadline: float) -> Job:
    """`deadline` of the monotonic clock, as the lease has it."""
    messages = tuple(ChatMessage(_ROLES[message.role], message.content) for message in request.messages)
    params = _sampling(request.parameters)
    return Job(request.generation_id, messages, params, resume, user=request.user_id, deadline=deadline)


def _sampling(asked: types.GenerationParameters) -> SamplingParams:
    return SamplingParams(
        max_tokens=asked.max_tokens if asked.HasField("max_tokens") else None,
        temperature=asked.temperature if asked.HasField("temperature") else None,
        top_p=asked.top_p if asked.HasField("top_p") else None,
        top_k=asked.top_k if asked.HasField("top_k") else None,
        seed=asked.seed if asked.HasField("seed") else None,
        stop=tuple(asked.stop),
    )
