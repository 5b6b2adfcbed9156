"""`make chaos SECONDS=1800 SEED=n`: a cluster of its own, broken for so long; exit code 1 when a promise was broken."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from pathlib import Path

from chaos.checker import violations
from chaos.harness import Harness, Plan
from chaos.nemesis import Nemesis, every_step, shuffled
from chaos.operation import Operation, read_history
from chaos.record import open_record
from chaos.stage import DEADLINE_SECONDS, PAUSE_SECONDS, open_stage
from chaos.summary import summary
from chaos.timeline import timeline

QUIET_SECONDS = DEADLINE_SECONDS + 30


def main() -> None:
    options = _options()
    if options.check is not None:
        sys.exit(_judge(read_history(options.check)))
    folder = options.folder or Path("build", "chaos", str(options.seed))
    history = folder / "history.jsonl"
    _say(f"seed {options.seed}; history: {history}")
    try:
        operations = asyncio.run(_run(folder, history, options))
    finally:
        _draw(history)
    sys.exit(_judge(operations))


async def _run(folder: Path, history: Path, options: argparse.Namespace) -> list[Operation]:
    chance = random.Random(options.seed)
    folder.mkdir(parents=True, exist_ok=True)
    with open_record(history) as recorder:
        async with open_stage(folder / "data") as stage:
            nemesis = Nemesis(stage.cluster, stage.redis_url, stage.links, recorder, chance, PAUSE_SECONDS)
            harness = Harness(stage.cluster.urls, recorder, chance, _say)
            plan = Plan(options.seconds, options.clients, QUIET_SECONDS, DEADLINE_SECONDS, options.nemeses)
            await harness.run(plan, nemesis, shuffled(every_step(list(stage.links)), chance))
    return recorder.operations


def _judge(operations: list[Operation]) -> int:
    """Print the numbers and the verdict. The exit code."""
    told = violations(operations)
    for line in [*summary(operations), *(f"VIOLATION {it}" for it in told), f"{len(told)} violations"]:
        _say(line)
    return 1 if told else 0


def _draw(history: Path) -> None:
    if history.exists():
        picture = history.with_suffix(".svg")
        picture.write_text(timeline(read_history(history)))
        _say(f"picture: {picture}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long things break")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--nemeses", type=int, default=1, help="how many things may be broken at once")
    parser.add_argument("--folder", type=Path, help="for the history and the cluster; default: build/chaos/SEED")
    parser.add_argument("--check", type=Path, help="only judge this history")
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
