"""`make mutants`: takes each guard away in turn in a copy of the checkout; exit code 1 when no test notices one."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mutants.catalogue import MUTANTS
from mutants.mutant import Mutant
from mutants.table import table
from mutants.tree import Broken, Tree
from parley_local import servers
from parley_local.ports import Ports
from parley_local.program import PortOf, Server
from parley_local.testing import run_server

SERVERS: dict[str, tuple[str, Callable[[Path, PortOf], Server]]] = {
    "redis": ("PARLEY_TEST_REDIS", servers.redis),
    "mongodb": ("PARLEY_TEST_MONGO", servers.mongodb),
    "kafka": ("PARLEY_TEST_KAFKA", servers.kafka),
    "cassandra": ("PARLEY_TEST_CASSANDRA", servers.cassandra),
}


SHOWN = 200


def main() -> None:
    options = _options()
    if options.table:
        print("\n".join(table(MUTANTS)))
        return
    chosen = [
        it
        for it in MUTANTS
        if it.chaos == options.chaos and options.only.lower() in f"{it.promise} {it.guard} {it.file}".lower()
    ]
    with tempfile.TemporaryDirectory(prefix="parley-mutants-") as folder, _served(chosen, Path(folder)) as environment:
        tree = Tree(Path(folder) / "tree")
        tree.fill()
        _check_the_tests(tree, chosen, environment)
        survivors = sum(not _is_killed(tree, mutant, environment) for mutant in chosen)
    print(f"{len(chosen)} mutants, {survivors} survived", flush=True)
    sys.exit(1 if survivors else 0)


def _check_the_tests(tree: Tree, mutants: Sequence[Mutant], environment: dict[str, str]) -> None:
    """With every guard in its place they pass. Raises Broken."""
    tests = tuple(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
    code, said = tree.run(tests, environment)
    if code != 0:
        raise Broken(f"the tests fail with every guard in place:\n{said[-3000:]}")
    print(f"{len(tests)} tests pass with every guard in place", flush=True)


def _is_killed(tree: Tree, mutant: Mutant, environment: dict[str, str]) -> bool:
    started = time.monotonic()
    killer = tree.killer(mutant, environment)
    verdict = "SURVIVED" if killer is None else "killed"
    print(f"{verdict:9} {mutant.promise:5} {mutant.guard} ({time.monotonic() - started:.1f} s)", flush=True)
    if killer is not None:
        print(f"          {killer[:SHOWN]}", flush=True)
    return killer is not None


@contextmanager
def _served(mutants: Sequence[Mutant], folder: Path) -> Iterator[dict[str, str]]:
    """Start each server that is needed, once. What the tests have to know of them."""
    needed = sorted({name for mutant in mutants for name in mutant.servers})
    environment: dict[str, str] = {}
    with ExitStack() as stack:
        for name in needed:
            variable, make = SERVERS[name]
            server = make(folder / "servers", Ports())
            process = stack.enter_context(run_server(server, folder / f"{name}.log"))
            environment[variable] = process.address
        yield environment


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--only", default="", help="those whose promise, guard or file holds these words")
    parser.add_argument("--chaos", action="store_true", help="those that the fault harness has to notice: minutes each")
    parser.add_argument("--table", action="store_true", help="print the table of docs/reliability.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
