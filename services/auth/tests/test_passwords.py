"""The bounded pool: what does not fit is refused at once, and every place comes back."""

from __future__ import annotations

import asyncio
import threading

import pytest
from argon2 import PasswordHasher

from parley_auth.adapters.passwords import open_passwords
from parley_kit.errors import Overloaded


class GatedHasher(PasswordHasher):
    """Hashes wait until the gate is open, so that a full pool is no matter of speed."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.gate = threading.Event()
        self.gate.set()
        self.begun = 0

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.begun += 1
        assert self.gate.wait(30)
        return super().hash(password, salt=salt)


async def test_beyond_the_queue_is_overloaded() -> None:
    hasher = GatedHasher()
    async with open_passwords(hasher, threads=1, queue=2) as passwords:
        hasher.gate.clear()
        waiting = [asyncio.create_task(passwords.hash("12345678")) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await passwords.hash("12345678")
        assert caught.value.retry_after > 0
        hasher.gate.set()
        for password_hash in await asyncio.gather(*waiting):
            assert await passwords.verify(password_hash, "12345678")


async def test_a_caller_that_goes_away_gives_its_place_back() -> None:
    hasher = GatedHasher()
    async with open_passwords(hasher, threads=1, queue=1) as passwords:
        hasher.gate.clear()
        running, queued = [asyncio.create_task(passwords.hash("12345678")) for _ in range(2)]
        await asyncio.sleep(0)
        queued.cancel()
        await asyncio.wait([queued])
        begun = hasher.begun
        last = asyncio.create_task(passwords.hash("12345678"))
        await asyncio.sleep(0)
        assert not last.done()
        hasher.gate.set()
        await asyncio.gather(running, last)
        assert hasher.begun <= begun + 2
        await asyncio.gather(*(passwords.hash("12345678") for _ in range(2)))
