"""`parley-worker generate` as a process: exit codes, and what it says when it cannot work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def generate(source: Path, target: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "parley_worker", "generate", "--input", str(source), "--output", str(target)]
    return subprocess.run([*command, *more], capture_output=True, text=True, timeout=50, check=False)


def test_a_file_is_answered_line_by_line(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [
        {"id": "chat", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 5, "temperature": 0},
        {"id": "raw", "prompt": "Hello", "max_tokens": 3, "ignore_eos": True},
        {"id": "bad", "prompt": "Hello", "top_p": 2},
    ]
    source.write_text("\n\n".join(map(json.dumps, lines)) + "\nnot json\n")
    done = generate(source, target)
    assert (done.returncode, done.stderr) == (0, "")
    answers = {answer["id"]: answer for answer in map(json.loads, target.read_text().splitlines())}
    assert answers.keys() == {"chat", "raw", "bad", None}
    assert answers["raw"]["finish_reason"] == "length"
    assert len(answers["raw"]["token_ids"]) == answers["raw"]["usage"]["completion_tokens"] == 3
    assert answers["bad"]["error"] == {"code": "BAD_INPUT", "message": "top_p must be from 0 to 1"}


@pytest.mark.parametrize("broken", ["model", "input", "output"])
def test_what_cannot_be_used_is_one_line_before_any_work(tmp_path: Path, broken: str) -> None:
    paths = {name: tmp_path / name for name in ("model", "input", "output")}
    paths["input"].write_text('{"id": 1, "prompt": "Hello"}\n')
    paths["model"].mkdir()
    more = ["--model", str(paths["model"])] if broken == "model" else []
    if broken == "input":
        paths["input"] = tmp_path / "absent" / "input"
    if broken == "output":
        paths["output"] = tmp_path / "absent" / "output"
    done = generate(paths["input"], paths["output"], *more)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert str(paths["model"] if broken == "model" else tmp_path / "absent") in done.stderr
    assert not paths["output"].exists()
