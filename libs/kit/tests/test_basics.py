"""Ids, the clock, the request's budget and the settings base."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from parley_kit import context
from parley_kit.clock import ManualClock
from parley_kit.context import current_principal
from parley_kit.errors import BadInput, DeadlineExceeded, Unauthenticated
from parley_kit.ids import new_id, parse_id
from parley_kit.settings import ConfigError, Settings, prepare_data_dir


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert uuid.UUID(ids[0]).version == 7


@given(st.uuids())
def test_any_uuid_is_a_well_formed_id(value: uuid.UUID) -> None:
    assert parse_id(str(value)) == str(value)
    assert parse_id(str(value).upper()) == str(value)


@given(st.text())
def test_anything_else_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_id(text, "conversationId")
    assert caught.value.field == "conversationId"


@pytest.mark.parametrize("form", ["{%s}", "urn:uuid:%s", "%s ", "%s\n"])
def test_other_spellings_of_a_uuid_are_refused(form: str) -> None:
    with pytest.raises(BadInput):
        parse_id(form % new_id())


async def test_the_manual_clock_wakes_sleepers_in_order() -> None:
    clock, woken = ManualClock(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3, 1, 2)]
    await asyncio.sleep(0)
    clock.advance(2)
    await asyncio.gather(*tasks[1:])
    assert woken == [1, 2]
    clock.advance(1)
    await tasks[0]
    assert (clock.now() - ManualClock().now()).total_seconds() == clock.monotonic() == 3


def test_a_nested_budget_never_exceeds_its_callers() -> None:
    with context.budget(1.0), context.budget(60.0):
        assert 0 < context.remaining(10.0) <= 1.0
    with context.budget(0.0), pytest.raises(DeadlineExceeded):
        context.remaining(10.0)
    assert context.remaining(10.0) == 10.0


def test_without_a_token_there_is_no_principal() -> None:
    with pytest.raises(Unauthenticated):
        current_principal()


class Example(Settings):
    gateway_port: int = Field(8080, ge=1, le=65535)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_GATEWAY_PORT", "9000")
    monkeypatch.setenv("PARLEY_DATA_DIR", "")
    assert Example.load().gateway_port == 9000
    assert Example.load().data_dir == Path(".parley")
    assert Example.load(gateway_port=1).gateway_port == 1


def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_GATEWAY_PORT", "eighty")
    monkeypatch.setenv("PARLEY_ENV", "staging")
    with pytest.raises(ConfigError) as caught:
        Example.load()
    assert "PARLEY_GATEWAY_PORT: " in str(caught.value)
    assert "PARLEY_ENV: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_data_dir_is_private_and_made_when_absent(tmp_path: Path) -> None:
    path = prepare_data_dir(tmp_path / "a" / "b")
    assert path.stat().st_mode & 0o777 == 0o700
    assert list(path.iterdir()) == []


def test_a_data_dir_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="PARLEY_DATA_DIR: cannot write to") as caught:
        prepare_data_dir(tmp_path / "file")
    assert os.linesep not in str(caught.value)
