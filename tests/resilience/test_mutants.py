"""The catalogue of guards follows the code, and docs/reliability.md shows it; killed is told from survived."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mutants.catalogue import MUTANTS
from mutants.mutant import Mutant, Outdated
from mutants.table import table
from mutants.tree import ROOT, Broken, Tree

GUARD = Mutant("R1", "a guard", "guard.py", "x > 0", "True", ("test_guard.py",))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda it: it.guard)
def test_each_guard_is_where_the_catalogue_says(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text()
    assert mutant.apply(text) != text
    for test in mutant.tests:
        assert (ROOT / test.partition("::")[0]).is_file()


def test_the_page_shows_the_catalogue() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text().splitlines()
    start = page.index(next(table(MUTANTS)))
    assert page[start : start + len(MUTANTS) + 2] == list(table(MUTANTS)), "make mutants-table"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A guard, and a test that holds it."""
    (tmp_path / "pyproject.toml").write_text('mypy_path = ["."]\n')
    (tmp_path / "guard.py").write_text("def allowed(x):\n    return x > 0\n")
    (tmp_path / "test_guard.py").write_text("from guard import allowed\n\ndef test():\n    assert not allowed(-1)\n")
    return Tree(tmp_path)


def test_a_guard_that_is_held_is_killed_and_put_back(tree: Tree) -> None:
    assert str(tree.killer(GUARD, {})).startswith("FAILED test_guard.py::test")
    assert tree.run(GUARD.tests, {})[0] == 0


def test_a_guard_that_nothing_holds_survives(tree: Tree) -> None:
    (tree.folder / "test_guard.py").write_text("from guard import allowed\n\ndef test():\n    assert allowed(1)\n")
    assert tree.killer(GUARD, {}) is None


def test_a_mutant_that_breaks_the_import_proves_nothing(tree: Tree) -> None:
    with pytest.raises(Broken):
        tree.killer(replace(GUARD, new="("), {})


@pytest.mark.parametrize("old", ["x > 1", "x"])
def test_a_guard_that_moved_is_named(tree: Tree, old: str) -> None:
    with pytest.raises(Outdated, match="a guard"):
        tree.killer(replace(GUARD, old=old), {})
