"""What is asked of an engine, what came back when, and how much that is a second."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

FIRST_WORD = 300
"""Ids from here up to the special tokens at the end are ordinary words of the benches' vocabularies."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt, and how many tokens to answer, greedily. `share`: its prefix may be found in a cache."""

    prompt: tuple[int, ...]
    tokens: int
    share: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """When it was asked and when each token came, by time.perf_counter; `cached`: prompt tokens found in a cache."""

    began: float
    times: tuple[float, ...]
    ids: tuple[int | None, ...] = ()
    cached: int = 0

    @property
    def first(self) -> float:
        """Seconds to the first token."""
        return self.times[0] - self.began

    @property
    def decode_rate(self) -> float:
        """Tokens a second after the first."""
        return (len(self.times) - 1) / (self.times[-1] - self.times[0])


Engine = Callable[[Ask], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of a load: tokens a second from the first request to the last token, and seconds to first tokens."""

    rate: float
    first: float
    first_worst: float


class Answers(Protocol):
    """An engine that takes requests at any time."""

    async def answer(self, ask: Ask) -> Answer: ...


def words(count: int, vocabulary: int, rng: random.Random | None = None) -> tuple[int, ...]:
    rng = rng or random.Random(count)
    return tuple(rng.randrange(FIRST_WORD, vocabulary - 8) for _ in range(count))


def mixed(count: int, vocabulary: int, *, seed: int, longest: int = 200) -> list[Ask]:
    """Prompts of U(50, 400) tokens, answers of U(longest / 4, longest): the same lengths each time, words by seed."""
    lengths, rng = random.Random(0), random.Random(seed)
    answer = (longest // 4, longest)
    return [Ask(words(lengths.randint(50, 400), vocabulary, rng), lengths.randint(*answer)) for _ in range(count)]


async def drive(engine: Engine, asks: Sequence[Ask], streams: int) -> Outcome:
    """Keep `streams` requests running until all are answered; each must have all of its tokens."""
    waiting = iter(asks)
    answers: list[Answer] = []

    async def stream() -> None:
        for ask in waiting:
            answer = await engine(ask)
            if len(answer.times) != ask.tokens:
                raise RuntimeError(f"{len(answer.times)} tokens instead of {ask.tokens}")
            answers.append(answer)

    began = time.perf_counter()
    await asyncio.gather(*(stream() for _ in range(streams)))
    tokens = sum(ask.tokens for ask in asks)
    firsts = sorted(answer.first for answer in answers)
    return Outcome(tokens / (time.perf_counter() - began), statistics.median(firsts), firsts[-1])


def median(outcomes: Sequence[Outcome]) -> Outcome:
    return Outcome(*(statistics.median(getattr(each, name) for each in outcomes) for name in Outcome.__slots__))
