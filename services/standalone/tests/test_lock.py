"""One platform for each data folder, whatever became of the one before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from parley_kit.settings import ConfigError
from parley_standalone.instance import LOCK_FILE, Instance, find_instance
from parley_standalone.lock import hold_data_dir


def test_a_second_holder_is_told_who_is_there(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path) as lock:
        lock.announce("http://127.0.0.1:9")
        assert find_instance(tmp_path) == Instance(os.getpid(), "http://127.0.0.1:9")
        with (
            pytest.raises(ConfigError, match=rf"in use by .* {os.getpid()} at http://127.0.0.1:9"),
            hold_data_dir(tmp_path),
        ):
            pytest.fail("two at once")
    assert find_instance(tmp_path) is None
    with hold_data_dir(tmp_path):
        pass


def test_the_note_of_a_dead_process_means_nothing(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text('{"pid": 2147483646, "url": "http://127.0.0.1:9"}')
    assert find_instance(tmp_path) is None
    with hold_data_dir(tmp_path):
        assert find_instance(tmp_path) == Instance(os.getpid())


def test_a_lock_that_cannot_be_opened_is_a_bad_set_up(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).mkdir()
    with pytest.raises(ConfigError, match="cannot write"), hold_data_dir(tmp_path):
        pytest.fail("held a folder")
