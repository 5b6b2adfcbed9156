"""Contract: revocations."""

from __future__ import annotations

from parley_live.base import Live
from parley_live.testing.harness import Advance, LiveHarness


class RevocationsContract(LiveHarness):
    async def test_only_what_was_revoked_is(self, live: Live, generation: str) -> None:
        """An id is revoked at once, and no other with it."""
        assert not await live.is_revoked(generation)
        await live.revoke(generation, self.window)
        assert await live.is_revoked(generation)
        assert not await live.is_revoked(f"{generation}.other")

    async def test_a_revocation_ends(self, live: Live, advance: Advance, generation: str) -> None:
        """It is kept for its seconds, and forgotten afterwards."""
        await live.revoke(generation, self.window)
        await advance(self.window * 0.6)
        assert await live.is_revoked(generation)
        await advance(self.window * 0.6)
        assert not await live.is_revoked(generation)

    async def test_a_revocation_is_never_shortened(self, live: Live, advance: Advance, generation: str) -> None:
        """Of two revocations of one id the longer holds, in either order."""
        for first, second in ((1.0, 0.2), (0.2, 1.0)):
            token = f"{generation}.{first}"
            await live.revoke(token, self.window * first)
            await live.revoke(token, self.window * second)
            await advance(self.window * 0.6)
            assert await live.is_revoked(token)
