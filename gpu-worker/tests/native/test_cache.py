"""Libraries stay in the cache as long as somebody uses them, and not for ever."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from parley_worker.native import build as build_module
from parley_worker.native import cache
from parley_worker.native.build import build, find_library
from parley_worker.native.cache import LIFETIME_SECONDS, claim, sweep
from parley_worker.native.processor import GENERIC


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "parley" / "native"


def make(path: Path, age: float) -> Path:
    """A library that was used so many lifetimes ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return let_age(path, age)


def let_age(path: Path, age: float) -> Path:
    then = path.stat().st_mtime - age * LIFETIME_SECONDS
    os.utime(path, (then, then))
    return path


def excludes(root: Path, kind: int) -> bool:
    """Whether somebody holds a lock that does not go with one of this kind."""
    handle = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def test_what_nobody_has_used_for_long_is_removed_and_so_are_folders_that_are_empty_then(root: Path) -> None:
    old, fresh = make(root / "a" / "old.so", 1.1), make(root / "a" / "fresh.so", 0.9)
    make(root / "b" / "old.so", 1.1)
    (root / "c").mkdir()
    (root / "d" / ".build-killed").mkdir(parents=True)
    (root / "d" / ".build-killed" / "half.so").touch()
    let_age(root / "d" / ".build-killed", 1.1)
    (root / "e" / ".build-runs").mkdir(parents=True)
    make(root / "file", 1.1)
    sweep(root)
    assert {path.relative_to(root).as_posix() for path in root.rglob("*")} == {
        *("a", "a/fresh.so", "e", "e/.build-runs", "file")
    }
    assert fresh.exists()
    assert not old.exists()


def test_a_library_that_is_found_counts_as_used(small_library: Path, root: Path) -> None:
    path = let_age(find_library(GENERIC), 1.1)
    assert find_library(GENERIC) == path
    sweep(root)
    assert path.exists()


def test_a_new_library_removes_the_old_ones(small_library: Path, root: Path) -> None:
    other = make(root / "other" / "old.so", 1.1)
    first = let_age(find_library(GENERIC), 1.1)
    assert not other.parent.exists()
    (small_library / "answer.cpp").write_text("int answer() { return 2; }")
    second = find_library(GENERIC)
    assert list(first.parent.iterdir()) == [second]


def test_from_a_folder_of_ones_own_nothing_is_removed(small_library: Path, tmp_path: Path) -> None:
    mine = make(tmp_path / "own" / "mine" / "old.so", 1.1)
    build([GENERIC], tmp_path / "own")
    assert mine.exists()


def test_old_libraries_that_cannot_be_removed_are_a_line_in_the_log(
    small_library: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(root: Path) -> None:
        raise PermissionError(f"not yours: {root}")

    monkeypatch.setattr(build_module, "sweep", fail)
    with caplog.at_level(logging.WARNING):
        assert find_library(GENERIC).exists()
    assert "old libraries are left where they are: not yours" in caplog.records[0].getMessage()


def test_nothing_is_removed_between_its_being_found_and_its_being_touched(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: dict[str, tuple[bool, bool]] = {}

    def watch(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def watched(*arguments: Any, **keywords: Any) -> Any:
            held[name] = excludes(root, fcntl.LOCK_EX), excludes(root, fcntl.LOCK_SH)
            return original(*arguments, **keywords)

        monkeypatch.setattr(owner, name, watched)

    old, used = make(root / "a" / "old.so", 1.1), make(root / "a" / "used.so", 1.1)
    for owner, name in ((os, "utime"), (Path, "unlink"), (Path, "rmdir"), (cache, "TemporaryDirectory")):
        watch(owner, name)
    assert claim(root, used)
    with cache.scratch(root, root / "b"):
        sweep(root)
    assert not claim(root, old)
    alone, among_others = (True, True), (True, False)
    assert held == {"utime": among_others, "TemporaryDirectory": among_others, "unlink": alone, "rmdir": alone}
    assert used.exists()


def test_a_library_of_another_user_is_used_as_it_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError

    library = make(root / "a" / "theirs.so", 0.5)
    monkeypatch.setattr(os, "utime", refuse)
    assert claim(root, library)
    assert not claim(root, root / "a" / "missing.so")
