"""A member's pyproject.toml states what that member imports, so that an image with it alone holds all it needs."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(path.parent for path in ROOT.glob("*/pyproject.toml") if path.parent.name != "proto") + sorted(
    path.parent for path in ROOT.glob("*/*/pyproject.toml")
)


def imported(folder: Path) -> Iterator[str]:
    """The top-level modules that the code beneath `folder` imports, wherever in it."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module.partition(".")[0]


def declared(member: Path) -> set[str]:
    project = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    names = [project["name"], *project["dependencies"], *(name for extra in extras for name in extra)]
    return {re.split(r"[\[<>=]", name)[0].lower() for name in names}


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_what_is_imported_is_declared(member: Path) -> None:
    owners, names = packages_distributions(), declared(member)
    missing = {
        module
        for module in set(imported(member / "src")) - sys.stdlib_module_names
        if not {owner.lower().replace("_", "-") for owner in (*owners.get(module, ()), module)} & names
    }
    assert not missing
