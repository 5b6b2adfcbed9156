"""Whose turn it is."""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_worker.scheduler.fairness import FairQueue
from parley_worker.scheduler.request import Request
from parley_worker.scheduler.sequence import Sequence
from parley_worker.scheduler.waiting import Waiting
from parley_worker.testing.sampling import GREEDY

QUANTUM = 10
_numbers = count()


def waiting(user: str, cost: int) -> Sequence:
    number = next(_numbers)
    return Sequence(Request((1,) * cost, 0, 8, frozenset(), GREEDY, user, id=f"{user}{number}"), number, cost + 8)


def cost(sequence: Sequence) -> int:
    return len(sequence.tokens)


def queue_of(*sequences: Sequence) -> FairQueue:
    queue = FairQueue(QUANTUM, cost)
    for sequence in sequences:
        queue.add(sequence)
    return queue


def serve(queue: FairQueue) -> Sequence:
    head = queue.head()
    queue.remove(head, cost(head))
    return head


def users(served: list[Sequence]) -> str:
    return "".join(sequence.request.user for sequence in served)


def test_a_user_is_served_in_order_of_arrival() -> None:
    first, second = waiting("a", 30), waiting("a", 1)
    queue = queue_of(first, second)
    assert [serve(queue), serve(queue)] == [first, second]


def test_who_sends_much_does_not_get_more() -> None:
    queue = queue_of(*(waiting("a", 10) for _ in range(8)), waiting("b", 10), waiting("b", 10))
    assert users([serve(queue) for _ in range(5)]) == "ababa"


def test_tokens_are_shared_and_not_requests() -> None:
    queue = queue_of(*(waiting("a", 40) for _ in range(4)), *(waiting("b", 10) for _ in range(16)))
    served = [serve(queue) for _ in range(10)]
    assert Counter(users(served)) == {"a": 2, "b": 8}


def test_answers_are_paid_for_afterwards() -> None:
    queue = queue_of(*(waiting("a", 10) for _ in range(4)), *(waiting("b", 10) for _ in range(8)))
    serve(queue)
    queue.charge("a", 40)
    queue.charge("nobody who waits", 40)
    assert users([serve(queue) for _ in range(6)]) == "bbbbba"


def test_every_request_is_asked_for_its_own_cost() -> None:
    queue = queue_of(waiting("a", 5), waiting("a", 100), waiting("b", 50))
    assert users([serve(queue) for _ in range(3)]) == "aba"


def test_users_who_do_not_wait_are_forgotten() -> None:
    queue = queue_of(waiting("a", 10), waiting("b", 10))
    queue.charge("a", 10_000)
    queue.charge("b", -10_000)
    serve(queue)
    serve(queue)
    for user in "ab":
        queue.add(waiting(user, 30))
        queue.add(waiting(user, 30))
    assert sorted(users([serve(queue), serve(queue)])) == ["a", "b"]


def test_who_is_next_is_passed_by_nobody() -> None:
    queue = queue_of(waiting("a", 500))
    head = queue.head()
    queue.add(waiting("b", 1))
    queue.charge("a", 10_000)
    assert queue.head() is head


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_whoever_leaves_the_queue_others_are_served(gone: int) -> None:
    sequences = [waiting("a", 10), waiting("a", 20), waiting("b", 10)]
    queue = queue_of(*sequences)
    queue.head()
    queue.remove(sequences.pop(gone))
    assert {serve(queue), serve(queue)} == set(sequences)
    assert len(queue) == 0


def test_the_preempted_come_before_all_others_in_order_of_arrival() -> None:
    newcomer, late, early = waiting("a", 1), waiting("a", 1), waiting("b", 1)
    early.arrival, late.recomputed, early.recomputed = -1, 1, 1
    line = Waiting(QUANTUM, cost)
    for sequence in (newcomer, late, early):
        line.add(sequence)
    served = []
    while (head := line.head()) is not None:
        served.append(head)
        line.remove(head)
    assert served == [early, late, newcomer]
    assert len(line) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 50)), min_size=30, max_size=80))
def test_while_they_wait_no_user_gets_far_ahead_of_another(requests: list[tuple[str, int]]) -> None:
    sequences = [waiting(user, size) for user, size in requests]
    queue, spent = queue_of(*sequences), Counter[str]()
    lines = Counter(user for user, _ in requests)
    while len(lines) == 3 and min(lines.values()) > 0:
        served = serve(queue)
        spent[served.request.user] += cost(served)
        lines[served.request.user] -= 1
        if min(lines.values()) > 0:  # a quantum and a request: the bound of deficit round robin
            assert max(spent.values()) - min(spent[user] for user in lines) <= QUANTUM + 2 * 50
