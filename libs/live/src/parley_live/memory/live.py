"""MemoryLive: all the hot state as one object."""

from __future__ import annotations

from parley_kit.clock import Clock
from parley_live.memory.cancels import MemoryCancelSignals
from parley_live.memory.limits import MemoryRateLimits
from parley_live.memory.revocations import MemoryRevocations
from parley_live.memory.streams import MemoryTokenStreams


class MemoryLive(MemoryTokenStreams, MemoryCancelSignals, MemoryRateLimits, MemoryRevocations):
    """The hot state inside one process: for one event loop, and gone with it.

    `retention` is the time to live of a stream after its terminal entry, `lifetime` that of one that nobody ends, since
    the last write; both in seconds. What has expired is dropped at the next call.
    """

    def __init__(self, clock: Clock, *, retention: float = 300.0, lifetime: float = 6 * 3600.0) -> None:
        MemoryTokenStreams.__init__(self, clock, retention, lifetime)
        MemoryCancelSignals.__init__(self)
        MemoryRateLimits.__init__(self, clock)
        MemoryRevocations.__init__(self, clock)
