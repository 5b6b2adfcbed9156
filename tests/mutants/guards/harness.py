"""Guards that the fault harness holds, and those of its own checker."""

from __future__ import annotations

from mutants.mutant import Mutant

CONVERSATION = "services/conversation/src/parley_conversation"
GATEWAY = "services/gateway/src/parley_gateway"

MUTANTS = (
    Mutant(
        "R3",
        "a reader drops what it has had (seen by the fault harness)",
        f"{GATEWAY}/answers/cursor.py",
        "rest = delta.text[self._sent - delta.offset :]",
        "rest = delta.text",
        ("tests/resilience/test_chaos.py",),
        chaos=True,
    ),
    Mutant(
        "R1",
        "finished means stored (seen by the fault harness)",
        f"{CONVERSATION}/relay.py",
        "            await self.store(generation)\n            await self._pay_all",
        "            await self._pay_all",
        ("tests/resilience/test_chaos.py",),
        chaos=True,
    ),
    Mutant(
        "chaos",
        "the checker sees a gap",
        "tests/chaos/checker/readings.py",
        'elif event["offset"] != len(self.held) or not event["text"]:',
        'elif not event["text"]:',
        ("tests/resilience/test_checker.py",),
    ),
    Mutant(
        "chaos",
        "the checker sees a writer that was fenced off",
        "tests/chaos/checker/readings.py",
        "if attempt < self.attempt:",
        "if False:",
        ("tests/resilience/test_checker.py",),
    ),
    Mutant(
        "chaos",
        "the checker sees a lost message",
        "tests/chaos/checker/messages.py",
        "if send.acknowledged and stored != [send.acknowledged[0].message]:",
        "if False:",
        ("tests/resilience/test_checker.py",),
    ),
)
