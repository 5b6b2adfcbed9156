"""Events on the bus: topics, and CloudEvents 1.0 headers (Kafka binding, binary mode) around a protobuf value."""

from __future__ import annotations

import re
from hashlib import blake2b

from google.protobuf.message import DecodeError, Message

from parley_bus.base import Record
from parley_kit import telemetry
from parley_kit.clock import Clock
from parley_kit.errors import BadInput
from parley_kit.ids import new_id
from parley_proto.events.v1 import events_pb2 as events

GENERATION_EVENTS = "parley.generation.events.v1"
CONVERSATION_EVENTS = "parley.conversation.events.v1"

_TYPES: dict[str, type[Message]] = {
    "parley.inference.requested.v1": events.InferenceRequested,
    "parley.generation.completed.v1": events.GenerationCompleted,
    "parley.generation.failed.v1": events.GenerationFailed,
    "parley.generation.cancelled.v1": events.GenerationCancelled,
    "parley.conversation.message_appended.v1": events.MessageAppended,
    "parley.conversation.updated.v1": events.ConversationUpdated,
    "parley.conversation.deleted.v1": events.ConversationDeleted,
}
_NOT_IN_TOPICS = re.compile(r"[^A-Za-z0-9._-]")

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/protobuf"

_NAMES = {kind: name for name, kind in _TYPES.items()}


def inference_topic(model: str) -> str:
    """Where the requests for a model wait; one consumer group for each model reads it.

    A name with characters that no topic takes (Kafka's rule) becomes one that is its own by a digest.
    """
    name = _NOT_IN_TOPICS.sub("-", model)
    if name != model:
        digest = blake2b(model.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        name = f"{name[:128]}.{digest}"
    return f"parley.inference.requests.{name}.v1"


def to_record(topic: str, key: str, event: Message, source: str, clock: Clock) -> Record:
    """The event as a record of the current trace. `source` is the service that says so."""
    headers = {
        "content-type": CONTENT_TYPE,
        "ce_specversion": SPEC_VERSION,
        "ce_id": new_id(),
        "ce_type": _NAMES[type(event)],
        "ce_source": source,
        "ce_time": clock.now().isoformat(),
        **telemetry.outgoing(),
    }
    return Record(topic, key, event.SerializeToString(), headers)


def from_record(record: Record) -> Message:
    """The event in a record. Raises BadInput for an unknown type or version, or bytes that do not decode: a case for
    the DLQ. Records of before the headers `ce_specversion` and `content-type` are taken as they are."""
    version = record.headers.get("ce_specversion", SPEC_VERSION)
    content = record.headers.get("content-type", CONTENT_TYPE)
    if version != SPEC_VERSION or content != CONTENT_TYPE:
        raise BadInput(f"CloudEvents {version!r} of {content!r}, not {SPEC_VERSION} of {CONTENT_TYPE}")
    kind = _TYPES.get(record.headers.get("ce_type", ""))
    if kind is None:
        raise BadInput(f"unknown event type {record.headers.get('ce_type')!r}")
    try:
        return kind.FromString(record.value)
    except DecodeError as error:
        raise BadInput(f"undecodable {record.headers['ce_type']}: {error}") from None
