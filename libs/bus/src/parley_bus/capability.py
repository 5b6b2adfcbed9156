"""What adapters differ in. Each declares its set; its test file asserts that set and the contract suite checks it."""

from __future__ import annotations

from enum import StrEnum


class Capability(StrEnum):
    REPLAY = "replay"
    """A group new to a topic also gets what all older groups have settled."""

    EXACT_SETTLE = "exact-settle"
    """A record settled above an unsettled one is not delivered again, even when the partition moves."""
