"""Records of the port as Kafka's bytes, and back. What was no text comes back byte for byte (dead letters are raw)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parley_bus.base import Delivery, Record


def to_bytes(text: str) -> bytes:
    """UTF-8; what `to_text` could not decode becomes the bytes that it was."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate of another kind
        return text.encode("utf-8", "surrogatepass")


def to_text(raw: bytes | None) -> str:
    return "" if raw is None else raw.decode("utf-8", "surrogateescape")


def to_headers(headers: Mapping[str, str]) -> Sequence[tuple[str, bytes]]:
    return [(name, to_bytes(value)) for name, value in headers.items()]


def to_delivery(message: Any) -> Delivery:
    """From aiokafka's ConsumerRecord. Of a header that comes twice the last counts."""
    headers = {name: to_text(value) for name, value in message.headers}
    record = Record(message.topic, to_text(message.key), message.value or b"", headers)
    return Delivery(record, message.partition, message.offset)
