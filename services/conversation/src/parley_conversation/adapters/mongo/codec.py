"""Domain values to and from documents. None is a field left out; a time is microseconds since the epoch.

BSON's own dates end at the millisecond: cursors and leases compared by them would be off by up to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from parley_conversation.domain.conversation import Conversation, Message, Role
from parley_conversation.domain.generation import (
    AppendMessage,
    Debt,
    EndStream,
    Failure,
    FinishReason,
    Generation,
    Parameters,
    RequestInference,
    State,
    Usage,
)
from parley_kit.mongo import Document

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TIMES = ("created_at", "deadline", "lease_until", "queued_at", "cancel_requested_at", "finished_at")

_DEBTS: dict[str, type[Debt]] = {kind.__name__: kind for kind in (AppendMessage, RequestInference, EndStream)}
_NAMES = tuple(field.name for field in fields(Generation))


def to_micros(instant: datetime) -> int:
    return (instant - EPOCH) // MICROSECOND


def to_instant(micros: int) -> datetime:
    return EPOCH + micros * MICROSECOND


def from_conversation(conversation: Conversation) -> Document:
    values = asdict(conversation)
    values |= {name: to_micros(values[name]) for name in ("created_at", "updated_at")}
    return _stored(values)


def to_conversation(document: Mapping[str, Any]) -> Conversation:
    return Conversation(
        id=document["_id"],
        owner_id=document["owner_id"],
        title=document["title"],
        model=document["model"],
        system_prompt=document.get("system_prompt"),
        archived=document["archived"],
        created_at=to_instant(document["created_at"]),
        updated_at=to_instant(document["updated_at"]),
    )


def from_generation(generation: Generation) -> Document:
    """All of the document but what the store keeps for itself."""
    values = {name: getattr(generation, name) for name in _NAMES}
    values |= {name: to_micros(values[name]) for name in TIMES if values[name] is not None}
    values["state"] = str(generation.state)
    values["finish_reason"] = generation.finish_reason and str(generation.finish_reason)
    values["parameters"] = _given({**asdict(generation.parameters), "stop": list(generation.parameters.stop)})
    values["usage"] = generation.usage and asdict(generation.usage)
    values["failure"] = generation.failure and asdict(generation.failure)
    values["outbox"] = [_from_debt(debt) for debt in generation.outbox]
    return _stored(values)


def to_generation(document: Mapping[str, Any]) -> Generation:
    values = {name: document[name] for name in _NAMES if name in document}
    values |= {name: to_instant(values[name]) for name in TIMES if name in values}
    values["id"] = document["_id"]
    values["request_id"] = document.get("request_id")
    values["parameters"] = Parameters(**{**document["parameters"], "stop": tuple(document["parameters"]["stop"])})
    values["state"] = State(document["state"])
    values["finish_reason"] = FinishReason(values["finish_reason"]) if "finish_reason" in values else None
    values["usage"] = Usage(**values["usage"]) if "usage" in values else None
    values["failure"] = Failure(**values["failure"]) if "failure" in values else None
    values["outbox"] = tuple(map(_to_debt, document["outbox"]))
    return Generation(**values)


def _from_debt(debt: Debt) -> Document:
    values: Document = {"kind": type(debt).__name__, "id": debt.id}
    if isinstance(debt, AppendMessage):
        message = asdict(debt.message)
        values["message"] = _given({**message, "created_at": to_micros(message["created_at"])})
    return values


def _to_debt(values: Mapping[str, Any]) -> Debt:
    kind = _DEBTS[values["kind"]]
    if kind is not AppendMessage:
        return kind(values["id"])  # type: ignore[call-arg] # only AppendMessage has more
    message = {"parent_seq": None, "parent_id": None, **values["message"]}
    message |= {"role": Role(message["role"]), "created_at": to_instant(message["created_at"])}
    return AppendMessage(values["id"], Message(**message))


def _stored(values: dict[str, Any]) -> Document:
    values = _given(values)
    return {"_id": values.pop("id"), **values}


def _given(values: Mapping[str, Any]) -> Document:
    return {name: value for name, value in values.items() if value is not None}
