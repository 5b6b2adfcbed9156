"""A copy of the checkout to break: the tests there import what is there, not what is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mutants.mutant import Mutant

ROOT = Path(__file__).parents[2]
TEST_SECONDS = 900
FAILED = 1
"""pytest's exit code when tests ran and some failed. Anything else but 0 proves nothing."""


class Broken(Exception):
    """The tests could not be run as they should."""


@dataclass(frozen=True)
class Tree:
    folder: Path

    def fill(self) -> None:
        """Copy what git knows of or would add, as it lies in the working tree."""
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout
        for name in names.decode().split("\0"):
            if name and (ROOT / name).is_file():
                target = self.folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, target)

    def killer(self, mutant: Mutant, environment: dict[str, str]) -> str | None:
        """What the test says that notices that the guard is gone. Raises Outdated, or Broken when no test ran."""
        file = self.folder / mutant.file
        text = file.read_text()
        file.write_text(mutant.apply(text))
        try:
            code, said = self.run(mutant.tests, environment)
        finally:
            file.write_text(text)
        if code not in (0, FAILED):
            raise Broken(f"{mutant.guard}: pytest ended with {code}\n{said[-2000:]}")
        return _verdict(said) if code == FAILED else None

    def run(self, tests: Sequence[str], environment: dict[str, str]) -> tuple[int, str]:
        """pytest's exit code and output."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-p", "no:cacheprovider", *tests]
        paths = os.pathsep.join(map(str, self._sources()))
        variables = {**os.environ, **environment, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "300"}
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=variables, capture_output=True, timeout=TEST_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return FAILED, "FAILED it did not come to an end"
        return done.returncode, (done.stdout + done.stderr).decode(errors="replace")

    def _sources(self) -> list[Path]:
        """The folders that the members' packages are imported from."""
        settings = (self.folder / "pyproject.toml").read_text()
        (listed,) = re.findall(r"^mypy_path = \[(.*)\]$", settings, re.MULTILINE)
        return [self.folder / name for name in re.findall(r'"([^"]+)"', listed)]


def _verdict(said: str) -> str:
    """The line of pytest's summary that names the test and the reason."""
    return next((line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))), "FAILED")
