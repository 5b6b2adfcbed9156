"""The Java that is right is found, and what is missing is said in one line with the command that installs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley_kit.settings import ConfigError
from parley_local import java
from parley_local.java import find_command, find_java


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any Java, whose commands are below the returned folder."""
    monkeypatch.setattr(java, "SYSTEM_JVMS", tmp_path / "jvm")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def put_java(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    path.chmod(0o755)
    return path


def test_a_missing_java_is_one_line_with_what_to_do(machine: Path) -> None:
    with pytest.raises(ConfigError, match=r"^Kafka and Cassandra need Java 17.*: apt-get install openjdk-17.*$"):
        find_java()


def test_another_java_on_path_is_passed_over(machine: Path) -> None:
    put_java(machine / "bin" / "java", "21.0.2")
    with pytest.raises(ConfigError, match="Java 17"):
        find_java()
    right = put_java(machine / "jvm" / "java-17-openjdk" / "bin" / "java", "17.0.15")
    assert find_java() == right


def test_java_home_comes_first(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_java(machine / "bin" / "java", "17.0.1")
    own = put_java(machine / "home" / "bin" / "java", "17.0.2")
    monkeypatch.setenv("JAVA_HOME", str(machine / "home"))
    assert find_java() == own


def test_a_missing_command_is_named(machine: Path) -> None:
    with pytest.raises(ConfigError, match=r"Redis is missing.*apt-get install .*redis-server"):
        find_command("redis-server", "Redis")
