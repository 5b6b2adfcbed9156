"""The frames of graphql-transport-ws, and why a socket is closed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

from parley_gateway.entrypoints.graphql.parameters import holds_surrogate, parse_json

SUBPROTOCOL = "graphql-transport-ws"

ACK = '{"type":"connection_ack"}'


MAX_REASON_BYTES = 123


class Closed(Exception):
    """The socket is to be closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


@dataclass(frozen=True, slots=True)
class Frame:
    """A message from the client. `id` is there for subscribe and complete."""

    type: str
    id: str
    payload: Any


_TYPES = ("connection_init", "ping", "pong", "subscribe", "complete")
_NEEDS_ID = ("subscribe", "complete")


def parse_frame(text: str | None) -> Frame:
    """The frame in a text message; None stands for a binary one. Raises Closed with 4400 for what is none."""
    if text is None:
        raise Closed(4400, "Invalid message: binary")
    try:
        body = parse_json(text)
    except ValueError:
        raise Closed(4400, "Invalid message: not JSON") from None
    if not isinstance(body, dict) or body.get("type") not in _TYPES:
        raise Closed(4400, "Invalid message: not an object of a known type")
    return _to_frame(body)


def _to_frame(body: dict[str, Any]) -> Frame:
    kind, key, payload = body["type"], body.get("id"), body.get("payload")
    if kind in _NEEDS_ID and (not isinstance(key, str) or not key or holds_surrogate(key)):
        raise Closed(4400, "Invalid message: no id")
    if kind == "subscribe" or payload is not None:
        _check_payload(kind, payload)
    return Frame(kind, key if isinstance(key, str) else "", payload)


def _check_payload(kind: str, payload: object) -> None:
    if not isinstance(payload, dict):
        raise Closed(4400, "Invalid message: the payload is not an object")
    if kind == "subscribe" and not isinstance(payload.get("query"), str):
        raise Closed(4400, "Invalid message: the payload has no query")


def next_frame(key: str, response: bytes) -> str:
    return (b'{"id":' + orjson.dumps(key) + b',"type":"next","payload":' + response + b"}").decode()


def error_frame(key: str, errors: list[dict[str, Any]]) -> str:
    return orjson.dumps({"id": key, "type": "error", "payload": errors}).decode()


def complete_frame(key: str) -> str:
    return orjson.dumps({"id": key, "type": "complete"}).decode()


def pong_frame(payload: object) -> str:
    """Echoes the payload of the ping, if it had one. Raises Closed with 4400 when that is no JSON (an infinity)."""
    frame = {"type": "pong"} if payload is None else {"type": "pong", "payload": payload}
    try:
        # The standard library's, for it echoes numbers of any size and lone surrogates too.
        return json.dumps(frame, allow_nan=False)
    except ValueError:
        raise Closed(4400, "Invalid message: a number out of range") from None
