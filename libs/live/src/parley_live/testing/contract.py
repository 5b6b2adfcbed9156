"""The whole contract. An adapter's test is a subclass with the fixtures and times of `LiveHarness`."""

from __future__ import annotations

from parley_live.testing.cancels import CancelsContract
from parley_live.testing.fencing import FencingContract
from parley_live.testing.limits import LimitsContract
from parley_live.testing.revocations import RevocationsContract
from parley_live.testing.streams import StreamsContract


class LiveContract(StreamsContract, FencingContract, CancelsContract, LimitsContract, RevocationsContract):
    """All the hot state, as one adapter serves it."""
