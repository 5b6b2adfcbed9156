from __future__ import annotations

import re
from datetime import datetime

import pytest
from google.protobuf.message import Message
from opentelemetry.sdk.trace import TracerProvider

from parley_bus import Record
from parley_bus.events import from_record, inference_topic, to_record
from parley_kit.clock import ManualClock
from parley_kit.errors import BadInput
from parley_proto.events.v1 import events_pb2 as events

EVENTS: list[Message] = [
    events.InferenceRequested(generation_id="g", messages=[events.PromptMessage(content="Grüße\0")]),
    events.GenerationCompleted(generation_id="g", attempt=2, text="x"),
    events.GenerationFailed(generation_id="g"),
    events.GenerationCancelled(generation_id="g"),
    events.MessageAppended(conversation_id="c"),
    events.ConversationUpdated(user_id="u"),
    events.ConversationDeleted(conversation_id="c"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_was(event: Message) -> None:
    record = to_record("topic", "c", event, "conversation", ManualClock())
    assert (record.topic, record.key) == ("topic", "c")
    assert from_record(record) == event
    assert type(from_record(record)) is type(event)


def test_headers_are_those_of_cloudevents() -> None:
    clock = ManualClock()
    first, second = (to_record("topic", "c", EVENTS[0], "conversation", clock).headers for _ in range(2))
    assert (first["ce_specversion"], first["content-type"]) == ("1.0", "application/protobuf")
    assert first["ce_type"] == "parley.inference.requested.v1"
    assert first["ce_source"] == "conversation"
    assert datetime.fromisoformat(first["ce_time"]) == clock.now()
    assert first["ce_id"] != second["ce_id"]


def test_the_trace_goes_with_the_record() -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("send") as span:
        headers = to_record("topic", "c", EVENTS[0], "conversation", ManualClock()).headers
    assert f"{span.get_span_context().trace_id:032x}" in headers["traceparent"]


FAILED = {"ce_type": "parley.generation.failed.v1"}


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ({}, b""),
        ({"ce_type": "parley.generation.failed.v2"}, b""),
        (FAILED, b"\xff\xff"),
        ({**FAILED, "ce_specversion": "2.0"}, b""),
        ({**FAILED, "content-type": "application/json"}, b"{}"),
    ],
    ids=["untyped", "unknown version of the event", "undecodable", "unknown CloudEvents", "not protobuf"],
)
def test_what_is_no_event_is_bad_input(headers: dict[str, str], value: bytes) -> None:
    with pytest.raises(BadInput):
        from_record(Record("topic", "c", value, headers))


def test_each_model_has_its_topic() -> None:
    assert inference_topic("tiny") == "parley.inference.requests.tiny.v1"


def test_any_name_of_a_model_gives_a_topic_of_its_own_that_kafka_takes() -> None:
    """A model is named after its folder, and folders have all kinds of names."""
    names = ["a b", "a:b", "a-b", "Qwen/Qwen3 (4B)", "\u6a21" * 200, "\udcff"]
    topics = {inference_topic(name) for name in names}
    assert len(topics) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,240}", topic) for topic in topics)


def test_a_record_of_before_the_version_header_is_an_event() -> None:
    assert from_record(Record("topic", "c", b"", FAILED)) == events.GenerationFailed()
