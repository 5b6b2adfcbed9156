"""Domain values to and from the columns of a row."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, fields
from datetime import UTC, datetime
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

_DEBTS: dict[str, type[Debt]] = {kind.__name__: kind for kind in (AppendMessage, RequestInference, EndStream)}


def to_seconds(instant: datetime | None) -> float | None:
    return None if instant is None else instant.timestamp()


def to_instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _optional_instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else to_instant(seconds)


def to_conversation(row: sqlite3.Row) -> Conversation:
    return Conversation(
        id=row["id"],
        owner_id=row["owner_id"],
        title=row["title"],
        model=row["model"],
        system_prompt=row["system_prompt"],
        archived=bool(row["archived"]),
        created_at=to_instant(row["created_at"]),
        updated_at=to_instant(row["updated_at"]),
    )


MESSAGE_COLUMNS = tuple(field.name for field in fields(Message))


def from_message(message: Message) -> dict[str, Any]:
    return {**asdict(message), "created_at": to_seconds(message.created_at)}


def to_message(row: sqlite3.Row | dict[str, Any]) -> Message:
    values = {name: row[name] for name in MESSAGE_COLUMNS}
    values["role"] = Role(values["role"])
    values["created_at"] = to_instant(values["created_at"])
    return Message(**values)


def from_outbox(outbox: tuple[Debt, ...]) -> str:
    return json.dumps([_from_debt(debt) for debt in outbox], separators=(",", ":"))


def _from_debt(debt: Debt) -> dict[str, Any]:
    values: dict[str, Any] = {"kind": type(debt).__name__, "id": debt.id}
    if isinstance(debt, AppendMessage):
        values["message"] = from_message(debt.message)
    return values


def to_outbox(text: str) -> tuple[Debt, ...]:
    return tuple(map(_to_debt, json.loads(text)))


def _to_debt(values: dict[str, Any]) -> Debt:
    kind = _DEBTS[values["kind"]]
    if kind is AppendMessage:
        return AppendMessage(values["id"], to_message(values["message"]))
    return kind(values["id"])  # type: ignore[call-arg] # only AppendMessage has more


def from_document(value: Parameters | Usage | Failure | None) -> str | None:
    return None if value is None else json.dumps(asdict(value), separators=(",", ":"))


def from_generation(generation: Generation) -> dict[str, Any]:
    values = {field.name: getattr(generation, field.name) for field in fields(Generation)}
    for name in ("created_at", "deadline", "lease_until", "queued_at", "cancel_requested_at", "finished_at"):
        values[name] = to_seconds(values[name])
    for name in ("parameters", "usage", "failure"):
        values[name] = from_document(values[name])
    return {**values, "outbox": from_outbox(generation.outbox)}


def to_generation(row: sqlite3.Row) -> Generation:
    values: dict[str, Any] = {field.name: row[field.name] for field in fields(Generation)}
    for name in ("created_at", "deadline", "lease_until", "queued_at", "cancel_requested_at", "finished_at"):
        values[name] = _optional_instant(values[name])
    parameters = json.loads(values["parameters"])
    values["parameters"] = Parameters(**{**parameters, "stop": tuple(parameters["stop"])})
    values["usage"] = Usage(**json.loads(values["usage"])) if values["usage"] else None
    values["failure"] = Failure(**json.loads(values["failure"])) if values["failure"] else None
    values["state"] = State(values["state"])
    values["finish_reason"] = FinishReason(values["finish_reason"]) if values["finish_reason"] else None
    values["answer_stored"] = bool(values["answer_stored"])
    values["outbox"] = to_outbox(values["outbox"])
    return Generation(**values)
