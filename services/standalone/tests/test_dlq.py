"""`parley dlq` on a real broker."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from parley_bus import Consumer, Delivery, Record
from parley_bus.events import to_record
from parley_bus.kafka import KafkaBus, KafkaSettings, open_kafka
from parley_kit.clock import SystemClock
from parley_proto.events.v1.events_pb2 import GenerationFailed, InferenceRequested
from parley_standalone.cli import app

PATIENCE = 20.0
GARBAGE = b"\xff\x00\x1b[31m not an event"


@pytest.fixture
def servers(kafka: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PARLEY_KAFKA_SERVERS", kafka)
    monkeypatch.setenv("COLUMNS", "200")
    return kafka


@pytest.fixture
def topic(servers: str) -> str:
    """Its dead letters are an event that is fine, and garbage."""
    name = f"dlq.{uuid4().hex}"
    event = to_record(name, "key", GenerationFailed(generation_id="g-1"), "test", SystemClock())
    asyncio.run(_reject(servers, [event, Record(name, "key", GARBAGE, {"ce_id": "bad", "mark": "[red]x[/]"})]))
    return name


async def _reject(servers: str, records: Iterable[Record]) -> None:
    async with _opened(servers) as bus:
        for record in records:
            await bus.publish(record)
            async with bus.subscribe([record.topic], "group") as consumer:
                (delivery,) = await _collect(consumer, 1)
                await consumer.reject(delivery, "no \x1b[31mgood", "BadInput")


def _opened(servers: str) -> Any:
    return open_kafka(KafkaSettings.load(kafka_servers=servers, kafka_partitions=1))


async def _collect(consumer: Consumer, count: int) -> list[Delivery]:
    found: list[Delivery] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += await consumer.fetch(count - len(found), PATIENCE)
    return found


async def _replayed(servers: str, topic: str, count: int) -> list[Record]:
    bus: KafkaBus
    async with _opened(servers) as bus, bus.subscribe([topic], "group") as consumer:
        return [item.record for item in await _collect(consumer, count)]


def parley(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["dlq", *arguments])


def answered(*arguments: str) -> Any:
    done = parley(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_topics_are_listed_with_how_many_and_why(topic: str) -> None:
    (pile,) = [pile for pile in answered("list") if pile["topic"] == f"{topic}.dlq"]
    assert pile["letters"] == 2
    assert pile["newest"]["reason"] == "no \x1b[31mgood"
    assert topic in parley("list").stdout


def test_letters_are_listed_with_their_places(topic: str) -> None:
    first, second = answered("list", topic)
    assert (first["place"], second["place"]) == ("0:0", "0:1")
    assert (second["error"], second["from"]) == ("BadInput", f"{topic} 0:1")
    assert [letter["place"] for letter in answered("list", topic, "--limit", "1")] == ["0:1"]


def test_what_is_in_a_letter_cannot_command_the_terminal(topic: str) -> None:
    for arguments in (["list"], ["list", topic], ["show", topic, "0:1"]):
        done = parley(*arguments)
        assert done.exit_code == 0
        assert "\x1b" not in done.stdout
    assert "[red]x[/]" in parley("show", topic, "0:1").stdout


def test_an_event_is_shown_decoded(topic: str) -> None:
    shown = answered("show", topic, "0:0")
    assert shown["value"] == {"GenerationFailed": {"generationId": "g-1"}}
    assert shown["headers"]["ce_type"] == "parley.generation.failed.v1"


def test_garbage_is_shown_as_it_is(topic: str) -> None:
    shown = answered("show", f"{topic}.dlq", "0:1")
    assert shown["value"]["base64"] == "/wAbWzMxbSBub3QgYW4gZXZlbnQ="
    assert "undecodable" in shown["value"]


def test_an_event_with_values_that_json_does_not_know_is_shown_as_it_is(servers: str) -> None:
    """It decodes, but its deadline is no time."""
    name = f"dlq.{uuid4().hex}"
    request = InferenceRequested(generation_id="g-1")
    request.deadline.seconds = 2**62
    asyncio.run(_reject(servers, [to_record(name, "key", request, "test", SystemClock())]))
    value = answered("show", name, "0:0")["value"]
    assert value["base64"] == base64.b64encode(request.SerializeToString()).decode()
    assert "deadline" in value["undecodable"]


def test_one_letter_is_sent_again_as_it_was(servers: str, topic: str) -> None:
    assert answered("replay", topic, "0:1") == {"topic": topic, "replayed": 1}
    (record,) = asyncio.run(_replayed(servers, topic, 1))
    assert record == Record(topic, "key", GARBAGE, {"ce_id": "bad", "mark": "[red]x[/]"})


def test_all_letters_are_sent_again(servers: str, topic: str) -> None:
    assert "2 sent again" in parley("replay", topic, "--all").stdout
    assert [record.value for record in asyncio.run(_replayed(servers, topic, 2))][1] == GARBAGE


@pytest.mark.parametrize("arguments", [["show", "TOPIC", "0:99"], ["show", "TOPIC", "7:0"], ["list", "no.such.topic"]])
def test_what_is_not_there_is_code_1(topic: str, arguments: list[str]) -> None:
    done = parley(*(topic if word == "TOPIC" else word for word in arguments))
    assert done.exit_code == 1
    assert done.stderr.startswith("parley: ")


@pytest.mark.parametrize(
    "arguments", [["show", "t", "first"], ["replay", "t"], ["replay", "t", "0:0", "--all"], ["list", "--limit", "0"]]
)
def test_a_wrong_command_line_is_code_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert parley(*arguments).exit_code == 2


def test_without_servers_it_says_which_setting_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARLEY_KAFKA_SERVERS", raising=False)
    done = parley("list")
    assert done.exit_code == 2
    assert "PARLEY_KAFKA_SERVERS" in done.stderr


def test_servers_that_are_away_are_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_KAFKA_SERVERS", "127.0.0.1:1")
    done = parley("list")
    assert done.exit_code == 1
    assert "127.0.0.1:1" in done.stderr
