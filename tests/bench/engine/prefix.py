"""What a cached prefix saves: requests that share 600 tokens, and a conversation of 20 turns, ours beside llama-server.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/prefix.py [small] [medium]

One after the other: 16 requests of the same 600 tokens and 12 of their own; the time to the first token of each against
that of the first, which computes the prefix. At once: the same with another prefix, all sent together; the first is
then what one such request takes alone, measured just before, and all of them should be answered within little more than
that.

Conversation: each turn repeats all before it, adds a question of 24 tokens, and is answered with 24; the time to the
first token of turn 20 (the median of 18, 19 and 20) against that of turn 1; the median of 3 conversations, of the
medium model one. Twice: of users who are new, for whom turn 1 computes the system prompt of 200 tokens (users share no
prefixes, see ADR 0011; of llama-server, which knows no users, each such conversation has a system prompt of its own),
and, the harsh form, of a user whose earlier chats began with the same system prompt, so that turn 1 computes no more
than any other turn.

llama-server with its prompt cache on and a slot for each of the requests at once.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
from contextlib import AsyncExitStack
from typing import Any

from bench.engine.models import MEDIUM, SMALL, ensure_model
from bench.engine.parts import report
from bench.engine.parts.llama import open_llama_server
from bench.engine.parts.load import Answer, Ask, Engine, words
from bench.engine.parts.ours import open_ours
from bench.engine.peers import ensure_peers

from parley_worker.config import Dtype

THREADS, REQUESTS, PREFIX, OWN, TOKENS = 2, 16, 600, 12, 8
TURNS, SYSTEM, QUESTION, REPLY = 20, 200, 24, 24
CONVERSATIONS = {SMALL: 3, MEDIUM: 1}
CONTEXT = 1536


class Session:
    """What is measured of one engine. All engines get the same prompts."""

    def __init__(self, engine: Engine, vocabulary: int) -> None:
        self._engine, self._vocabulary = engine, vocabulary
        self._rng = random.Random(0)

    def _words(self, count: int) -> tuple[int, ...]:
        return words(count, self._vocabulary, self._rng)

    def _sharing(self) -> list[Ask]:
        prefix = self._words(PREFIX)
        return [Ask(prefix + self._words(OWN), TOKENS, share=True) for _ in range(REQUESTS)]

    async def in_turn(self) -> dict[str, Any]:
        answers = [await self._engine(ask) for ask in self._sharing()]
        later = [answer.first for answer in answers[1:]]
        return {
            "first": answers[0].first,
            "later": statistics.median(later),
            "ratio": statistics.median(later) / answers[0].first,
            "cached": answers[-1].cached,
        }

    async def at_once(self) -> dict[str, Any]:
        alone = await self._engine(self._sharing()[0])
        answers: list[Answer] = await asyncio.gather(*(self._engine(ask) for ask in self._sharing()))
        firsts = sorted(answer.first for answer in answers)
        after = [first - firsts[0] for first in firsts[1:]]
        return {
            "alone": alone.first,
            "first": firsts[0],
            "median": statistics.median(firsts),
            "last": firsts[-1],
            "ratio": statistics.median(after) / alone.first,
            "cached": statistics.median(answer.cached for answer in answers),
        }

    async def conversations(self, count: int, *, known: bool) -> dict[str, Any]:
        """known: the system prompt has been computed before turn 1. last: of the last three turns."""
        told, system = [], self._words(SYSTEM)
        if known:
            await self._engine(Ask(system + self._words(QUESTION), 2, share=True))
        for _ in range(count):
            told.append(await self._turns(system if known else self._words(SYSTEM)))
        firsts = [statistics.median(turn) for turn in zip(*(firsts for firsts, _ in told), strict=True)]
        last = statistics.median(firsts[-3:])
        return {"firsts": firsts, "cached": told[-1][1], "last": last, "ratio": last / firsts[0]}

    async def _turns(self, history: tuple[int, ...]) -> tuple[list[float], list[int]]:
        firsts, cached = [], []
        for _ in range(TURNS):
            history += self._words(QUESTION)
            answer = await self._engine(Ask(history, REPLY, share=True))
            history += tuple(token for token in answer.ids if token is not None)
            firsts.append(answer.first)
            cached.append(answer.cached)
        return firsts, cached


async def measure(name: str) -> dict[str, dict[str, Any]]:
    model = ensure_model(name)
    async with AsyncExitStack() as stack:
        server = open_llama_server(
            ensure_peers(), model.gguf("q8_0"), threads=THREADS, streams=REQUESTS, context=CONTEXT
        )
        engines: dict[str, Engine] = {
            "ours int8": (
                await stack.enter_async_context(open_ours(model.folder, Dtype.INT8, threads=THREADS, capacity=REQUESTS))
            ).answer,
            "llama.cpp q8_0": (await stack.enter_async_context(server)).answer,
        }
        sessions = {label: Session(engine, model.config["vocab_size"]) for label, engine in engines.items()}
        for session in sessions.values():
            await session.in_turn()
        report.progress(f"{name}: all are open and warm")
        return {label: await ask_all(label, session, CONVERSATIONS[name]) for label, session in sessions.items()}


async def ask_all(label: str, session: Session, count: int) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for part, run in (
        ("in_turn", session.in_turn()),
        ("at_once", session.at_once()),
        ("new_user", session.conversations(count, known=False)),
        ("known_user", session.conversations(count, known=True)),
    ):
        told[part] = await run
        report.progress(f"{label}, {part}: {told[part]['ratio']:.3g}")
    return told


def show(name: str, results: dict[str, dict[str, Any]]) -> None:
    milliseconds = lambda result, *keys: [result[key] * 1000 for key in keys]  # noqa: E731 - three tables of one form
    rows = [
        (label, *milliseconds(each["in_turn"], "first", "later"), each["in_turn"]["ratio"], each["in_turn"]["cached"])
        for label, each in results.items()
    ]
    report.table((f"{name}: {PREFIX} shared, in turn", "1st ms", "2nd..16th ms", "ratio", "cached"), rows)
    rows = [
        (label, *milliseconds(each["at_once"], "alone", "first", "median", "last"), each["at_once"]["ratio"])
        for label, each in results.items()
    ]
    report.table(("the same at once", "alone ms", "1st ms", "median ms", "last ms", "wait after 1st / alone"), rows)
    rows = [
        (f"{label}, {user}", each["firsts"][0] * 1000, each["last"] * 1000, each["ratio"], each["cached"][-1])
        for user, part in (("new user", "new_user"), ("known user", "known_user"))
        for label, each in ((label, result[part]) for label, result in results.items())
    ]
    report.table((f"conversation of {TURNS} turns", "turn 1 ms", "turn 20 ms", "ratio", "cached"), rows)


async def main(names: list[str]) -> None:
    for name in names:
        results = await measure(name)
        show(name, results)
        report.save(f"prefix-{name}", {"engines": results})


if __name__ == "__main__":
    chosen = {"small": SMALL, "medium": MEDIUM}
    asyncio.run(main([chosen[each] for each in sys.argv[1:]] or [SMALL, MEDIUM]))
