"""The parts that need no broker: settings, and bytes on the wire."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_bus.kafka import KafkaSettings
from parley_bus.kafka.wire import to_bytes, to_delivery, to_headers, to_text
from parley_kit.settings import ConfigError


@given(st.binary())
def test_bytes_that_are_no_text_survive(raw: bytes) -> None:
    assert to_bytes(to_text(raw)) == raw


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_sent(text: str) -> None:
    assert isinstance(to_bytes(text), bytes)


def test_what_others_leave_out_is_empty() -> None:
    """Kafka knows records without key, value or header value, and headers that come twice."""
    headers = [("a", b"1"), ("a", b"2"), ("b", None)]
    message = SimpleNamespace(topic="t", partition=3, offset=7, key=None, value=None, headers=headers)
    delivery = to_delivery(message)
    assert (delivery.record.key, delivery.record.value, delivery.partition, delivery.offset) == ("", b"", 3, 7)
    assert delivery.record.headers == {"a": "2", "b": ""}
    assert to_headers(delivery.record.headers) == [("a", b"2"), ("b", b"")]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "PARLEY_KAFKA_SERVERS"),
        ({"kafka_servers": "nowhere"}, "PARLEY_KAFKA_SERVERS"),
        ({"kafka_servers": "a:1,,b:2"}, "PARLEY_KAFKA_SERVERS"),
        ({"kafka_servers": "a:1", "kafka_partitions": 0}, "PARLEY_KAFKA_PARTITIONS"),
        ({"kafka_servers": "a:1", "kafka_replication": 2, "kafka_min_insync": 3}, "PARLEY_KAFKA_MIN_INSYNC"),
        ({"kafka_servers": "a:1", "client_name": "no spaces"}, "PARLEY_CLIENT_NAME"),
    ],
)
def test_a_bad_setting_is_named(values: dict[str, object], named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARLEY_KAFKA_SERVERS", raising=False)
    with pytest.raises(ConfigError, match=named):
        KafkaSettings.load(**values)


def test_servers_are_listed_and_a_process_has_a_name() -> None:
    settings = KafkaSettings.load(kafka_servers="a:1, [::1]:2")
    assert settings.servers == ["a:1", "[::1]:2"]
    assert settings.process_name
    assert KafkaSettings.load(kafka_servers="a:1", client_name="worker-1").process_name == "worker-1"
