"""The catalogue as the table of docs/reliability.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mutants.mutant import Mutant


def table(mutants: Sequence[Mutant]) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| promise | guard | in | the test that fails without it |"
    yield "|---|---|---|---|"
    for mutant in sorted(mutants, key=lambda it: it.promise):
        tests = ", ".join(f"`{test.rpartition('/')[2]}`" for test in mutant.tests)
        yield f"| {mutant.promise} | {mutant.guard} | `{mutant.file.rpartition('/src/')[2]}` | {tests} |"
