"""Contract: rate limits. The arithmetic is tested against a model in `tests/test_gcra.py`."""

from __future__ import annotations

import asyncio

import pytest

from parley_kit.errors import BadInput
from parley_live.base import Live, Rate
from parley_live.testing.harness import Advance, LiveHarness

HOUR = 3600.0
"""No test lasts a share of it. Where the clock is the store's own, a short window fills while a test is held up."""


class LimitsContract(LiveHarness):
    async def test_the_whole_limit_may_come_at_once(self, live: Live, generation: str) -> None:
        """`limit` are admitted at once; the next is told to wait for one share of the time, no more."""
        rate = Rate(5, HOUR)
        assert [await live.take(generation, rate) for _ in range(5)] == [0.0] * 5
        assert 0 < await live.take(generation, rate) <= HOUR / 5

    async def test_a_refusal_takes_nothing(self, live: Live, advance: Advance, generation: str) -> None:
        """However often it was refused, the wait that was told is enough, and gives one admission."""
        rate = Rate(5, 5 * self.window)
        for _ in range(5):
            await live.take(generation, rate)
        waits = [await live.take(generation, rate) for _ in range(10)]
        await advance(waits[0])
        assert await live.take(generation, rate) == 0.0
        assert await live.take(generation, rate) > 0

    async def test_the_bucket_fills_up_evenly(self, live: Live, advance: Advance, generation: str) -> None:
        """After half of the time half of the limit is there again, after all of it the whole, and never more."""
        rate = Rate(4, self.window)
        for seconds, admitted in ((0.0, 4), (0.5, 2), (1.0, 4), (3.0, 4)):
            await advance(self.window * seconds)
            assert [await live.take(generation, rate) == 0.0 for _ in range(5)] == [i < admitted for i in range(5)]

    async def test_a_cost_takes_as_many(self, live: Live, generation: str) -> None:
        """A cost is admitted as a whole or not at all."""
        rate = Rate(5, HOUR)
        assert await live.take(generation, rate, cost=3) == 0.0
        assert await live.take(generation, rate, cost=3) > 0
        assert await live.take(generation, rate, cost=2) == 0.0

    async def test_keys_and_rates_have_their_own_buckets(self, live: Live, generation: str) -> None:
        """One key's use is not another's, and a rate that was changed starts anew."""
        rate = Rate(1, HOUR)
        assert await live.take(generation, rate) == 0.0
        assert await live.take(f"{generation}.other", rate) == 0.0
        assert [await live.take(generation, Rate(2, HOUR)) for _ in range(2)] == [0.0, 0.0]
        assert await live.take(generation, rate) > 0

    async def test_concurrent_takers_share_the_limit(self, live: Live, generation: str) -> None:
        """At the same time exactly `limit` are admitted: taking is one step."""
        rate = Rate(10, HOUR)
        async with asyncio.timeout(self.patience):
            waits = await asyncio.gather(*(live.take(generation, rate) for _ in range(30)))
        assert waits.count(0.0) == 10

    async def test_what_can_never_be_admitted_is_refused(self, live: Live, generation: str) -> None:
        """A cost below 1 or over the limit is BadInput, not a wait."""
        for cost in (-1, 0, 6):
            with pytest.raises(BadInput):
                await live.take(generation, Rate(5, self.window), cost)

    @pytest.mark.parametrize(("limit", "seconds"), [(0, 1.0), (-1, 1.0), (1, 0.0), (1, -1.0), (1, float("nan"))])
    async def test_a_rate_that_is_none_is_refused(self, limit: int, seconds: float) -> None:
        """A rate without a limit or a time is BadInput."""
        with pytest.raises(BadInput):
            Rate(limit, seconds)
