"""What only the planner sees."""

from __future__ import annotations

from parley_worker.kv.cache import PagedCache
from parley_worker.scheduler.planner import Planner
from parley_worker.scheduler.request import Request, Sampling
from parley_worker.scheduler.residents import Residents
from parley_worker.scheduler.sequence import Sequence


def test_who_is_preempted_before_his_turn_is_not_in_the_step() -> None:
    """Of two with one token each, and one block, the younger has to give it to the older."""
    cache = PagedCache(1, 2, 64, share=True)
    residents = Residents(cache, 2, 16)
    for arrival in range(2):
        request = Request((1,), 0, 5, frozenset(), Sampling(0.0, 0, 1.0, 1.0, 0), id=str(arrival))
        sequence = Sequence(request, arrival, limit=6)
        cache.enter(sequence)
        residents.running.append(sequence)
    cache.grow(residents.running[1], 1)
    step = Planner(residents, cache, 16, None, rounds=1).plan(frozenset())
    assert [segment.sequence.arrival for segment in step.segments] == [0]
    assert (step.preemptions, len(residents.waiting)) == (1, 1)
    cache.check_integrity(residents.running)
