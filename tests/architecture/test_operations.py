"""docs/operations.md speaks of metrics, parts and settings that there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from support.images import PROCESSES, ROOT, settings_of

PAGE = (ROOT / "docs" / "operations.md").read_text()
SOURCES = [path for area in ("libs", "services", "gpu-worker") for path in (ROOT / area).rglob("src/**/*.py")]
SUFFIXES = {"Counter": "_total", "Gauge": "", "Histogram": ""}


def calls() -> Iterator[tuple[str, str]]:
    """(function, first argument) of every call whose first argument is a text."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                yield name, str(node.args[0].value)


CALLS = list(calls())
METRICS = {
    name.removesuffix("_total") + SUFFIXES[kind]
    for kind, name in CALLS
    if kind in SUFFIXES and name.startswith("parley_")
}


def test_every_metric_that_it_names_is_counted() -> None:
    named = set(re.findall(r"\bparley_\w+", PAGE)) - DATABASES
    assert named
    assert not named - METRICS


DATABASES = {"parley_auth", "parley_conversation"}


def test_every_part_of_readiness_that_it_names_is_asked() -> None:
    (_, rows) = PAGE.split("`parts` of `/readyz`", 1)
    table, _, _ = rows.partition("\n\n")
    named = {part for row in table.splitlines() for part in re.findall(r"`([a-z-]+)`", row)}
    assert named
    assert not named - set(texts_beside_readiness())


def texts_beside_readiness() -> Iterator[str]:
    """Every text in the modules that add to a service's readiness."""
    for path in SOURCES:
        if "readiness" in (code := path.read_text()):
            yield from (str(node.value) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant))


def test_every_setting_that_it_names_is_read() -> None:
    fields = {f"PARLEY_{field.upper()}" for name in PROCESSES for field in settings_of(name).model_fields}
    named = set(re.findall(r"\bPARLEY_[A-Z_]+", PAGE))
    assert named
    assert not named - fields


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([\w/.-]+)\)", PAGE))))
def test_its_links_lead_somewhere(target: str) -> None:
    assert (ROOT / "docs" / target).exists()
