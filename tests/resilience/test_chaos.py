"""R1-R4, R6-R9 on the real servers: clients over both gateways while one process after another dies, stands still or
is cut off. The short tier of `make chaos`: each kind of fault once, always the same."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from chaos import history
from chaos.checker import violations
from chaos.harness import Harness, Plan
from chaos.nemesis import Nemesis, Step
from chaos.operation import Operation, read_history
from chaos.record import open_record
from chaos.stage import DEADLINE_SECONDS, PAUSE_SECONDS, open_stage
from chaos.summary import summary

SEED = 20261121
CLIENTS = 8
QUIET_SECONDS = DEADLINE_SECONDS + 30.0
"""At most: they are mostly done in half a minute."""
FAULTS_SECONDS = 240.0
"""The steps are over long before that."""

STEPS = [
    Step("kill", "worker-1"),
    Step("pause", "worker-2"),
    Step("flush", "redis"),
    Step("terminate", "worker-1"),
    Step("kill", "gateway-1"),
    Step("kill", "mongodb"),
    Step("cut", "redis"),
    Step("kill", "conversation-1"),
    Step("kill", "kafka"),
    Step("silence", "conversation-1"),
    Step("kill", "cassandra"),
    Step("kill", "redis"),
    Step("kill", "auth-1"),
    Step("terminate", "worker-2"),
]


@pytest.mark.timeout(600)
async def test_nothing_is_lost_doubled_or_reordered_whatever_dies(tmp_path: Path) -> None:
    chance, path = random.Random(SEED), tmp_path / "history.jsonl"
    with open_record(path) as recorder:
        async with open_stage(tmp_path / "data") as stage:
            nemesis = Nemesis(stage.cluster, stage.redis_url, stage.links, recorder, chance, PAUSE_SECONDS)
            plan = Plan(FAULTS_SECONDS, CLIENTS, QUIET_SECONDS, DEADLINE_SECONDS)
            await Harness(stage.cluster.urls, recorder, chance, print).run(plan, nemesis, iter(STEPS))
    operations = read_history(path)
    print("\n".join(summary(operations)))
    assert violations(operations) == []
    _assert_it_proves_something(operations)


def _assert_it_proves_something(operations: list[Operation]) -> None:
    """Every fault was there, and answers moved from worker to worker because of them."""
    told = history.of(operations)
    assert [Step(fault.kind, fault.target) for fault in told.faults] == STEPS
    ends = [state for generation, _ in told.generations() for state in told.states(generation)]
    assert any(state["attempt"] > 1 for state in ends)
    assert sum(state["state"] == "COMPLETED" for state in ends) >= CLIENTS
    assert any(len(reading.connections) > 1 for reading in told.readings.values())
