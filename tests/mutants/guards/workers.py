"""Guards of the worker, and of its place on the bus."""

from __future__ import annotations

from mutants.mutant import Mutant

WORKER = "gpu-worker/src/parley_worker"
WORKER_TESTS = "gpu-worker/tests/worker"
BUS = "libs/bus/src/parley_bus"

MUTANTS = (
    Mutant(
        "R4",
        "a worker whose lease ran out by its own clock writes nothing more",
        f"{WORKER}/writer.py",
        "if not self._allowed():",
        "if False:",
        (f"{WORKER_TESTS}/test_writer.py",),
    ),
    Mutant(
        "R4",
        "a lease is counted from before the heartbeat, not from its answer",
        f"{WORKER}/heartbeats.py",
        "assignment.renew(asked_at)",
        "assignment.renew(self._clock.monotonic())",
        (f"{WORKER_TESTS}/test_heartbeats.py",),
    ),
    Mutant(
        "R6",
        "a worker that ends hands back what it has in hand",
        f"{WORKER}/consumer.py",
        "self._assignments.stop_all(Stop.HANDED_BACK)",
        "self._assignments.stop_all(Stop.LOST)",
        (f"{WORKER_TESTS}/test_takeover.py",),
    ),
    Mutant(
        "R1",
        "commit order: a request is settled on the bus once its claim is, not before",
        f"{WORKER}/consumer.py",
        "            await self._claim(delivery, request, assignment)\n",
        "            await self._settle(delivery)\n            await self._claim(delivery, request, assignment)\n",
        (f"{WORKER_TESTS}/test_consumer.py",),
    ),
    Mutant(
        "R2",
        "a request that is offered again while it is in hand is answered once",
        f"{WORKER}/assignments.py",
        "assignment = None if generation_id in self._held else Assignment(generation_id)",
        "assignment = Assignment(generation_id)",
        (f"{WORKER_TESTS}/test_consumer.py",),
    ),
    Mutant(
        "R1",
        "Kafka: what is in hand holds back the committed position",
        f"{BUS}/kafka/window.py",
        "return min(self._owed) if self._owed else self._next",
        "return self._next",
        ("libs/bus/tests/test_kafka.py",),
        ("kafka",),
    ),
    Mutant(
        "R3",
        "a successor goes on after what was streamed",
        f"{WORKER}/transcript.py",
        "return Prefix(tuple(token_ids), text)",
        "return Prefix()",
        (f"{WORKER_TESTS}/test_takeover.py", f"{WORKER_TESTS}/test_transcript.py"),
    ),
)
