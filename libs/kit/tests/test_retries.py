"""Reads are tried again, in proportion; nothing else is."""

from __future__ import annotations

import pytest

from parley_kit.errors import NotFound, ParleyError, Unavailable
from parley_kit.grpc import retries
from parley_kit.grpc.errors import Unreachable
from parley_kit.grpc.retries import ATTEMPTS, BUDGET, Retries, is_read


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "LONGEST_PAUSE_SECONDS", 0.002)


class Peer:
    """Fails so many times in this way, then answers."""

    def __init__(self, failures: int, error: ParleyError) -> None:
        self.calls = 0
        self._failures = failures
        self._error = error

    async def call(self) -> str:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return "answer"


async def test_a_peer_that_was_not_reached_is_called_again() -> None:
    peer = Peer(ATTEMPTS - 1, Unreachable("reset"))
    assert await Retries().run(peer.call) == "answer"


async def test_attempts_are_counted() -> None:
    peer = Peer(10**6, Unreachable("refused"))
    with pytest.raises(Unreachable):
        await Retries().run(peer.call)
    assert peer.calls == ATTEMPTS


@pytest.mark.parametrize("error", [Unavailable("its store is away"), NotFound("no such conversation")])
async def test_what_the_peer_itself_says_is_final(error: ParleyError) -> None:
    """Its store is no nearer for being asked twice."""
    peer = Peer(1, error)
    with pytest.raises(type(error)):
        await Retries().run(peer.call)
    assert peer.calls == 1


async def test_a_peer_that_stays_away_uses_the_budget_up() -> None:
    """And answers fill it again, slowly."""
    peer, channel = Peer(10**6, Unreachable("refused")), Retries()
    for _ in range(50):
        with pytest.raises(Unreachable):
            await channel.run(peer.call)
    assert peer.calls <= 50 + BUDGET
    well = Peer(0, Unreachable(""))
    for _ in range(20):
        await channel.run(well.call)
    again = Peer(1, Unreachable("reset"))
    assert await channel.run(again.call) == "answer"


def test_only_reads_are_tried_again() -> None:
    service = "/parley_proto.conversation.v1.ConversationService"
    assert is_read(f"{service}/GetGeneration")
    assert is_read(f"{service}/ListMessages")
    assert not is_read(f"{service}/SendMessage")
    assert not is_read("/parley_proto.auth.v1.AuthService/Refresh")
