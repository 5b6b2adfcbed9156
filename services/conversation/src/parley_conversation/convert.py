"""Between the wire and the domain, in both directions: generated messages stop here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from parley_conversation.domain.context import Prompt
from parley_conversation.domain.conversation import Conversation, Message, Role
from parley_conversation.domain.generation import Failure, FinishReason, Generation, Parameters, State, Usage
from parley_conversation.domain.title import shown_title
from parley_kit.errors import BadInput
from parley_proto.conversation.v1 import types_pb2 as types
from parley_proto.events.v1 import events_pb2 as events

_ROLES = {
    Role.SYSTEM: types.ROLE_SYSTEM,
    Role.USER: types.ROLE_USER,
    Role.ASSISTANT: types.ROLE_ASSISTANT,
}
_STATES = {
    State.QUEUED: types.GENERATION_STATE_QUEUED,
    State.RUNNING: types.GENERATION_STATE_RUNNING,
    State.COMPLETED: types.GENERATION_STATE_COMPLETED,
    State.FAILED: types.GENERATION_STATE_FAILED,
    State.CANCELLED: types.GENERATION_STATE_CANCELLED,
    State.EXPIRED: types.GENERATION_STATE_EXPIRED,
}
_FINISH_REASONS = {
    FinishReason.STOP: types.FINISH_REASON_STOP,
    FinishReason.LENGTH: types.FINISH_REASON_LENGTH,
    FinishReason.CANCELLED: types.FINISH_REASON_CANCELLED,
    FinishReason.ERROR: types.FINISH_REASON_ERROR,
}
_FROM_FINISH_REASONS = {wire: reason for reason, wire in _FINISH_REASONS.items()}


def timestamp(instant: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp


def conversation(value: Conversation) -> types.Conversation:
    return types.Conversation(
        id=value.id,
        title=shown_title(value.title),
        model=value.model,
        system_prompt=value.system_prompt,
        archived=value.archived,
        created_at=timestamp(value.created_at),
        updated_at=timestamp(value.updated_at),
    )


def message(value: Message, sibling_ids: Sequence[str] = ()) -> types.Message:
    return types.Message(
        id=value.id,
        conversation_id=value.conversation_id,
        seq=value.seq,
        role=_ROLES[value.role],
        content=value.content,
        parent_id=value.parent_id,
        sibling_ids=sibling_ids,
        created_at=timestamp(value.created_at),
        generation_id=value.generation_id,
    )


def generation(value: Generation) -> types.Generation:
    return types.Generation(
        id=value.id,
        conversation_id=value.conversation_id,
        state=_STATES[value.state],
        attempt=value.attempt,
        began_attempt=value.began_attempt,
        model=value.model,
        created_at=timestamp(value.created_at),
        finished_at=timestamp(value.finished_at) if value.finished_at else None,
        finish_reason=_FINISH_REASONS[value.finish_reason] if value.finish_reason else types.FINISH_REASON_UNSPECIFIED,
        usage=usage(value.usage) if value.usage else None,
        failure=types.Failure(code=value.failure.code, message=value.failure.message) if value.failure else None,
        message_id=value.answer_id if value.answer_stored else None,
    )


def usage(value: Usage) -> types.Usage:
    return types.Usage(
        prompt_tokens=value.prompt_tokens,
        completion_tokens=value.completion_tokens,
        cached_tokens=value.cached_tokens,
    )


def parameters(value: Parameters) -> types.GenerationParameters:
    return types.GenerationParameters(
        max_tokens=value.max_tokens,
        temperature=value.temperature,
        top_p=value.top_p,
        top_k=value.top_k,
        seed=value.seed,
        stop=value.stop,
    )


def inference_requested(value: Generation, prompts: Sequence[Prompt]) -> events.InferenceRequested:
    return events.InferenceRequested(
        generation_id=value.id,
        conversation_id=value.conversation_id,
        user_id=value.owner_id,
        model=value.model,
        messages=[events.PromptMessage(role=_ROLES[prompt.role], content=prompt.content) for prompt in prompts],
        parameters=parameters(value.parameters),
        deadline=timestamp(value.deadline),
    )


def parameters_from(wire: types.GenerationParameters) -> Parameters:
    return Parameters(
        max_tokens=wire.max_tokens if wire.HasField("max_tokens") else None,
        temperature=wire.temperature if wire.HasField("temperature") else None,
        top_p=wire.top_p if wire.HasField("top_p") else None,
        top_k=wire.top_k if wire.HasField("top_k") else None,
        seed=wire.seed if wire.HasField("seed") else None,
        stop=tuple(wire.stop),
    )


def usage_from(wire: types.Usage) -> Usage:
    return Usage(wire.prompt_tokens, wire.completion_tokens, wire.cached_tokens)


def failure_from(wire: types.Failure) -> Failure:
    return Failure(wire.code, wire.message)


def finish_reason_from(wire: types.FinishReason.ValueType) -> FinishReason:
    """Raises BadInput for a reason that does not end an answer."""
    reason = _FROM_FINISH_REASONS.get(wire)
    if reason is None:
        raise BadInput(f"unknown finish reason {wire}")
    return reason
