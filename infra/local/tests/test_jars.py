"""Jars are used only when they are, byte for byte, those of the committed manifest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier

import pytest

from parley_kit.settings import ConfigError
from parley_local import jars
from parley_local.jars import JarSet, describe, verify

JARS = {"a.jar": b"one", "b.jar": b"two"}


@dataclass(frozen=True, slots=True)
class Fetched(JarSet):
    """Fetches what it is told, in Maven's place, when all who install have begun."""

    content: dict[str, bytes]
    begun: Barrier

    def fetch(self, scratch: Path) -> Path:
        self.begun.wait(10)
        return write_jars(scratch / "jars", self.content)


def write_jars(folder: Path, content: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    text = describe(write_jars(tmp_path / "right", JARS))
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / jars.MANIFEST).write_text(text)
    return text


@pytest.mark.parametrize(
    ("content", "named"),
    [({**JARS, "b.jar": b"TWO"}, "b.jar"), ({"a.jar": b"one"}, "b.jar"), ({**JARS, "c.jar": b"three"}, "c.jar")],
    ids=["altered", "missing", "one too many"],
)
def test_what_differs_from_the_manifest_is_refused_by_name(
    tmp_path: Path, manifest: str, content: dict[str, bytes], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        verify(write_jars(tmp_path / "wrong", content), manifest)


def test_a_refused_set_is_not_installed(tmp_path: Path, manifest: str) -> None:
    bad = Fetched("x", tmp_path / "resources", tmp_path / "cache", {"a.jar": b"bad"}, Barrier(1))
    with pytest.raises(ConfigError):
        bad.install()
    assert not list((tmp_path / "cache").iterdir())


def test_two_may_install_at_once(tmp_path: Path, manifest: str) -> None:
    both = Fetched("x", tmp_path / "resources", tmp_path / "cache", JARS, Barrier(2))
    with ThreadPoolExecutor(2) as pool:
        folders = {future.result() for future in [pool.submit(both.install), pool.submit(both.install)]}
    assert len(folders) == 1
    verify(folders.pop(), manifest)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_what_is_there_is_not_fetched_again(tmp_path: Path, manifest: str) -> None:
    Fetched("x", tmp_path / "resources", tmp_path / "cache", JARS, Barrier(1)).install()
    nobody_fetches = Fetched("x", tmp_path / "resources", tmp_path / "cache", {}, Barrier(1))
    verify(nobody_fetches.install(), manifest)


@pytest.mark.timeout(600)  # Maven's time at the first time
@pytest.mark.parametrize("name", ["kafka", "cassandra"])
def test_the_installed_jars_are_those_of_the_manifest(name: str) -> None:
    verify(jars.jar_set(name).install(), jars.jar_set(name).manifest)
