"""The library in every variant that this processor runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from parley_worker.native import build
from parley_worker.native.library import Library
from parley_worker.native.processor import Variant, supported


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """What torch computes here is too small to share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", params=supported(), ids=lambda variant: variant.name)
def library(request: pytest.FixtureRequest) -> Library:
    variant: Variant = request.param
    return Library(variant)


@pytest.fixture
def small_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sources of a library of one function, with a cache of their own and nothing packaged."""
    folder = tmp_path / "csrc"
    folder.mkdir()
    (folder / "answer.cpp").write_text('extern "C" int parley_answer() { return 1; }')
    monkeypatch.setattr(build, "SOURCES", folder)
    monkeypatch.setattr(build, "PACKAGED", tmp_path / "lib")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
