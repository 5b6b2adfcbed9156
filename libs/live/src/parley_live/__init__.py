"""Hot state: one port, an adapter for each mode."""

from __future__ import annotations

from parley_live.base import (
    CancelSignals,
    Delta,
    End,
    Entry,
    Fenced,
    Live,
    Rate,
    RateLimits,
    Revocations,
    TokenStreams,
)

__all__ = [
    "CancelSignals",
    "Delta",
    "End",
    "Entry",
    "Fenced",
    "Live",
    "Rate",
    "RateLimits",
    "Revocations",
    "TokenStreams",
]
