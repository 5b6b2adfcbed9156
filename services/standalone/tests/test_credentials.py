"""The kept session: private, atomic, and used by one process at a time."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from parley_kit.errors import Forbidden, Unavailable
from parley_standalone.client.credentials import CredentialFile, Saved, default_path

URL = "http://127.0.0.1:8080"
SAVED = Saved("ada@example.org", "secret")


@pytest.fixture
def file(tmp_path: Path) -> CredentialFile:
    return CredentialFile(tmp_path / "parley" / "sessions.json")


def test_a_session_is_kept_for_each_server(file: CredentialFile) -> None:
    file.write(URL, SAVED)
    file.write("http://other", Saved("bob@example.org", "other"))
    file.forget("http://other")
    assert (file.read(URL), file.read("http://other")) == (SAVED, None)


def test_nobody_else_can_read_it(file: CredentialFile, tmp_path: Path) -> None:
    file.write(URL, SAVED)
    folder = tmp_path / "parley"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {"sessions.json": 0o600}


@pytest.mark.parametrize("damaged", ["", "[]", "{", '{"http://127.0.0.1:8080": 1}'])
def test_a_damaged_file_counts_as_none(file: CredentialFile, tmp_path: Path, damaged: str) -> None:
    file.write(URL, SAVED)
    (tmp_path / "parley" / "sessions.json").write_text(damaged)
    assert file.read(URL) is None


async def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    file = CredentialFile(tmp_path / "taken" / "sessions.json")
    with pytest.raises(Forbidden, match=r"sessions\.json"):
        file.write(URL, SAVED)
    with pytest.raises(Forbidden, match=r"sessions\.json"):
        async with file.exclusive():
            pass


async def test_a_lock_that_nobody_lets_go_of_is_said(file: CredentialFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley_standalone.client.credentials.LOCK_TIMEOUT", 0.1)
    async with file.exclusive():
        with pytest.raises(Unavailable, match="another process"):
            async with file.exclusive():
                pass


async def test_two_users_of_the_file_wait_for_each_other(file: CredentialFile) -> None:
    order = []

    async def second() -> None:
        async with file.exclusive():
            order.append("second")

    async with file.exclusive():
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.1)
        order.append("first")
    await waiting
    assert order == ["first", "second"]


def test_the_folder_follows_the_xdg_rules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_path() == tmp_path / "parley" / "sessions.json"
