"""Blocks of sequences that come and go."""

from __future__ import annotations

from parley_worker.kv.cache import PagedCache
from parley_worker.scheduler.sequence import Sequence
from parley_worker.testing.stepping import request


def test_what_was_settled_before_a_sequence_left_is_not_its_own_when_it_comes_again() -> None:
    cache, sequence = PagedCache(2, 1, 64, share=True), Sequence(request("a", 20), 0, 24)
    cache.enter(sequence)
    cache.grow(sequence, 20)
    cache.publish(sequence, 20)
    cache.leave(sequence)
    cache.pool.release([cache.pool.allocate(), cache.pool.allocate()])
    cache.enter(sequence)
    assert (sequence.computed, sequence.blocks) == (0, [])
    cache.leave(sequence)
    cache.check_integrity([])
