"""One consumer as its group sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Member:
    def __init__(self, topics: Sequence[str]) -> None:
        self.topics = tuple(dict.fromkeys(topics))
        self.wake = asyncio.Event()
        self.closed = False

    def close(self) -> None:
        self.closed = True
        self.wake.set()
