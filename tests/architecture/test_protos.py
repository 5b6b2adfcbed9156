"""The committed code of proto/ is what the generator makes of it today."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROTO = ROOT / "proto"
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


def generated(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.name.endswith(SUFFIXES)
    }


def test_the_generated_code_is_fresh(tmp_path: Path) -> None:
    subprocess.run([PROTO / "generate.sh", tmp_path], check=True, capture_output=True)
    fresh, committed = generated(tmp_path), generated(PROTO)
    assert fresh.keys() == committed.keys()
    stale = [name for name in fresh if fresh[name] != committed[name]]
    assert not stale, f"run `make proto`: {stale}"


@pytest.mark.parametrize("path", sorted(PROTO.rglob("*.proto")), ids=lambda path: path.stem)
def test_the_path_is_the_package(path: Path) -> None:
    """The folder path under proto/ is the Python import path, so that generated imports work unedited."""
    package = ".".join(path.relative_to(PROTO).parent.parts)
    assert f"package {package};" in path.read_text()
