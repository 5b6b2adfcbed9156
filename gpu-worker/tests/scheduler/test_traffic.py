"""Busy times: many requests with common prefixes in too few blocks."""

from __future__ import annotations

from collections import Counter, deque
from random import Random

import pytest

from parley_worker.scheduler.request import Drawn, Request, Sampling
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.scheduler.step import Step
from parley_worker.testing.block_model import VOCABULARY, BlockModel, answer

WINDOW = 96
PREFIXES = tuple(tuple((n * n + kind) % 7 % VOCABULARY for n in range(70)) for kind in range(3))


class Guesser:
    """Drafts that are right now and then."""

    streams = 3

    def propose(self, tokens: list[int], limit: int) -> list[int]:
        return [(tokens[-1] + step) % VOCABULARY for step in range(min(limit, len(tokens) % 5))]

    def observe(self, proposed: int, accepted: int) -> None:
        assert 0 <= accepted <= proposed


def requests_of(random: Random, count: int) -> list[Request]:
    made = []
    for number in range(count):
        prefix = random.choice(PREFIXES)[: random.randrange(1, 70)]
        own = tuple(random.randrange(VOCABULARY) for _ in range(random.randrange(4)))
        sampling = Sampling(1.0, 0, 1.0, random.choice([1.0, 1.0, 1.5]), seed=number % 3)
        user, length = random.choice("abc"), random.randrange(1, 50)
        made.append(Request(prefix + own, 0, length, frozenset(), sampling, user, id=str(number)))
    return made


@pytest.mark.parametrize("mode", ["plain", "drafts", "lookahead", "rounds"])
@pytest.mark.parametrize("seed", range(4))
def test_every_answer_is_right_whatever_happens_to_it(mode: str, seed: int) -> None:
    random = Random(f"{mode} {seed}")
    blocks, depth = random.randrange(7, 10), 2 if mode == "lookahead" else 1
    proposer = Guesser() if mode == "drafts" else None
    scheduler = Scheduler(
        *(blocks, random.randrange(4, 8), WINDOW, random.choice([3, 20, 50, 100])),
        lookahead=depth == 2,
        proposer=proposer,
        rounds=4 if mode == "rounds" else 1,
    )
    model, coming = BlockModel(blocks), requests_of(random, 30)
    expected = {each.id: answer(each, min(each.max_tokens, WINDOW - len(each.token_ids))) for each in coming}
    answers: dict[str, list[int]] = {name: [] for name in expected}
    flight: deque[tuple[Step, list[Drawn | None]]] = deque()
    seen = Counter[str]()
    while coming or not scheduler.idle:
        for _ in range(random.choice([0, 0, 0, 0, 0, 0, 0, 6])):
            if coming:
                scheduler.add(coming.pop())
        step = scheduler.schedule(0.0)
        rounds = random.randint(1, step.rounds)
        seen.update(preemptions=step.preemptions, hits=step.prefix_hits, drafts=step.proposed, rounds=rounds - 1)
        flight.append((step, model.run(step, rounds)))
        while len(flight) == depth or (flight and not coming and not step.segments):
            for output in scheduler.update(*flight.popleft()):
                assert output.token_id is not None
                answers[output.id].append(output.token_id)
        scheduler.check_integrity()
    assert answers == expected
    assert seen["preemptions"] > 0
    assert seen["hits"] > 0
    assert (seen["drafts"] > 0) == (mode == "drafts")
    assert (seen["rounds"] > 0) == (mode == "rounds")


def test_users_get_equal_shares_whatever_they_ask_for() -> None:
    """One sends many, one sends long prompts, one wants long answers; there is always somebody of each waiting."""
    kinds = {"many": (10, 2), "prompts": (150, 2), "answers": (10, 60)}
    scheduler, served = Scheduler(64, 2, 256, step_tokens=64, share=False), Counter[str]()
    waiting = Counter[str]()
    made = 0
    for _ in range(1500):
        for user, (prompt, length) in kinds.items():
            while waiting[user] < 4:
                sampling = Sampling(0.0, 0, 1.0, 1.0, 0)
                scheduler.add(Request((1,) * prompt, 0, length, frozenset(), sampling, user, id=f"{user}:{made}"))
                made, waiting[user] = made + 1, waiting[user] + 1
        step = scheduler.schedule(0.0)
        for segment in step.segments:
            served[segment.sequence.request.user] += segment.length
            waiting[segment.sequence.request.user] -= segment.start == 0
        scheduler.update(step, [Drawn(7)] * step.draw_count)
    assert min(served.values()) > 0.9 * max(served.values())
