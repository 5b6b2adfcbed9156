"""Revocations."""

from __future__ import annotations

from parley_kit.clock import Clock
from parley_live.memory.expiry import ExpiringMap


class MemoryRevocations:
    def __init__(self, clock: Clock) -> None:
        self._revoked: ExpiringMap[bool] = ExpiringMap(clock)

    async def revoke(self, token_id: str, seconds: float) -> None:
        if seconds > self._revoked.remaining(token_id):
            self._revoked.put(token_id, True, seconds)

    async def is_revoked(self, token_id: str) -> bool:
        return self._revoked.get(token_id) is not None
