"""Builds an image's /opt/parley: one member of the tree, the members it needs, and their packages, at exact versions.

Run in the build stage of each Dockerfile, in two steps, so that a change of our code does not install torch anew:

    install.py dependencies services/auth     what the members need from elsewhere, as constraints.txt has it
    install.py members services/auth          the members themselves, from the sources beside this file

The standard library alone: nothing else is there yet.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

VENV = Path("/opt/parley")
EXTRAS = {"gpu-worker": "torch"}  # what an image has beyond the plain requirements of its member
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[(?P<extras>[^\]]*)\])?")


class Tree:
    """The members whose pyproject.toml is here, by the names that they have as packages."""

    def __init__(self, root: Path) -> None:
        self.root = root
        found = [*root.glob("*/pyproject.toml"), *root.glob("*/*/pyproject.toml")]
        self._projects = {path.parent: tomllib.loads(path.read_text())["project"] for path in sorted(found)}
        self._folders = {project["name"]: folder for folder, project in self._projects.items()}

    def closure(self, folder: str) -> tuple[list[str], list[str]]:
        """The folders of the members that `folder` needs, itself included, and the requirements on other packages."""
        members: set[str] = set()
        packages: set[str] = set()
        seen: set[str] = set()
        extras = f"[{EXTRAS[folder]}]" if folder in EXTRAS else ""
        waiting = [self._projects[self.root / folder]["name"] + extras]
        while waiting:
            requirement = waiting.pop()
            if requirement in seen:
                continue
            seen.add(requirement)
            name = _split(requirement)[0]
            if name in self._folders:
                members.add(str(self._folders[name].relative_to(self.root)))
                waiting.extend(self._requirements(requirement))
            elif name.startswith("parley-"):
                raise SystemExit(f"install: {name} is a member that the Dockerfile did not copy")
            else:
                packages.add(requirement)
        return sorted(members), sorted(packages)

    def _requirements(self, requirement: str) -> Iterator[str]:
        name, extras = _split(requirement)
        project = self._projects[self._folders[name]]
        yield from project["dependencies"]
        for extra in extras:
            yield from project["optional-dependencies"][extra]


def _split(requirement: str) -> tuple[str, list[str]]:
    found = _REQUIREMENT.match(requirement)
    assert found is not None, requirement  # noqa: S101 - a pyproject.toml of ours
    return found["name"], [extra.strip() for extra in (found["extras"] or "").split(",") if extra.strip()]


def pip(*arguments: str) -> None:
    """pip of the image, installing into VENV, which has none of its own; what builds our wheels is pinned as well."""
    command = [sys.executable, "-m", "pip", "--python", str(VENV / "bin" / "python"), "install", *arguments]
    pinned = {"PIP_CONSTRAINT": str(Path("constraints.txt").resolve()), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run([*command, "--no-cache-dir"], check=True, env=os.environ | pinned)  # noqa: S603 - ours


def main(step: str, folder: str) -> None:
    members, packages = Tree(Path.cwd()).closure(folder)
    if step == "dependencies":
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(VENV)], check=True)  # noqa: S603 - ours
        pip(*packages)
    else:
        pip("--no-deps", *(f"./{member}" for member in members))


if __name__ == "__main__":
    main(*sys.argv[1:])
