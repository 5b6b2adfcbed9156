"""The doctor's checks, each with its thing well and unwell."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from parley_standalone.doctor import checks
from parley_standalone.doctor.checks import Finding, Status
from parley_standalone.lock import hold_data_dir


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(1024**2))
    return folder


def assert_problem(finding: Finding, words: str) -> None:
    assert finding.status is Status.PROBLEM
    assert words in finding.detail
    assert finding.fix


def test_a_complete_model_folder_is_named_with_its_size(checkpoint: Path) -> None:
    finding = checks.check_model(checkpoint)
    assert (finding.status, finding.detail) == (Status.OK, "model (llama, 1 MiB)")


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_what_a_model_folder_lacks_is_named(checkpoint: Path, missing: str) -> None:
    (checkpoint / missing).unlink()
    assert_problem(checks.check_model(checkpoint), missing.replace("model.safe", "*.safe"))


def test_a_model_that_is_no_folder_or_has_a_broken_config_is_a_problem(checkpoint: Path) -> None:
    assert_problem(checks.check_model(checkpoint / "absent"), "not a folder")
    (checkpoint / "config.json").write_text("{")
    assert_problem(checks.check_model(checkpoint), "config.json")


def test_a_data_folder_that_is_yet_to_be_is_well_and_left_alone(tmp_path: Path) -> None:
    assert checks.check_data_dir(tmp_path / "new" / "data").status is Status.OK
    assert not (tmp_path / "new").exists()
    assert checks.check_disk(tmp_path / "new").status is Status.OK


def test_a_data_folder_below_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_problem(checks.check_data_dir(tmp_path / "file" / "data"), "cannot write")


def test_a_data_folder_that_cannot_be_looked_at_is_a_problem(tmp_path: Path) -> None:
    unseen = tmp_path / ("x" * 300)  # the system refuses the very question, as it does below a folder of somebody else
    assert_problem(checks.check_data_dir(unseen), "cannot write")
    assert checks.check_disk(unseen).status is Status.OK


def test_a_full_disk_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LEAST_DISK_BYTES", 2**70)
    assert_problem(checks.check_disk(tmp_path), "GiB free")


def test_a_port_is_free_taken_or_our_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_problem(checks.check_port("127.0.0.1", port, tmp_path), "in use")
        with hold_data_dir(tmp_path) as lock:
            lock.announce(f"http://127.0.0.1:{port}")
            assert checks.check_port("127.0.0.1", port, tmp_path).status is Status.OK
    assert checks.check_port("127.0.0.1", port, tmp_path).status is Status.OK


def test_torch_says_its_version_or_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch is broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert_problem(checks.check_torch(), "ImportError: libtorch is broken")
    (tmp_path / "torch.py").write_text(
        "class cuda:\n    device_count = staticmethod(lambda: 0)\n__version__ = '9.9'\nget_num_threads = lambda: 3"
    )
    finding = checks.check_torch()
    assert finding.status is Status.OK
    assert finding.detail.startswith("9.9, 3 threads")
    assert finding.detail.endswith("CPU only")


def test_a_server_that_is_not_there_is_only_a_note(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        finding = checks.check_server(f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert (finding.status, "nothing answers" in finding.detail) == (Status.WARNING, True)


@pytest.mark.parametrize(
    ("status", "body", "expected", "words"),
    [
        (200, {"ready": True, "parts": {"worker": "ok"}}, Status.OK, "is ready"),
        (503, {"ready": False, "parts": {"worker": "loading", "auth": "ok"}}, Status.WARNING, "worker: loading"),
        (200, ["something", "else"], Status.WARNING, "not a Parley server"),
    ],
)
def test_a_server_is_asked_whether_it_is_ready(
    monkeypatch: pytest.MonkeyPatch, status: int, body: object, expected: Status, words: str
) -> None:
    import httpx

    monkeypatch.setattr(httpx, "get", lambda *_args, **_options: httpx.Response(status, text=json.dumps(body)))
    finding = checks.check_server("http://server")
    assert finding.status is expected
    assert words in finding.detail
