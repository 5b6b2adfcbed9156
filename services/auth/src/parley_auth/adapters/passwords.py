"""Passwords by argon2id, in a bounded pool: a hash is slow and large by design."""

from __future__ import annotations

import asyncio
import secrets
import threading
import unicodedata
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from parley_kit.errors import Overloaded

P = ParamSpec("P")
T = TypeVar("T")

RETRY_AFTER_SECONDS = 1.0


def light_hasher() -> PasswordHasher:
    """The least that OWASP's Password Storage Cheat Sheet lets pass: 19 MiB, 20 ms of one core."""
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def strong_hasher() -> PasswordHasher:
    """RFC 9106's second recommendation, argon2-cffi's default: 64 MiB, 180 ms of one core."""
    return PasswordHasher()


class Argon2Passwords:
    """`dummy_hash` is of no password at all; it is what an unknown user's password is compared with."""

    def __init__(self, hasher: PasswordHasher, dummy_hash: str, pool: ThreadPoolExecutor, most_pending: int) -> None:
        self._hasher = hasher
        self._dummy_hash = dummy_hash
        self._pool = pool
        self._places = threading.BoundedSemaphore(most_pending)

    async def hash(self, password: str) -> str:
        return await self._run(self._hasher.hash, _to_bytes(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        matches = await self._run(self._matches, password_hash or self._dummy_hash, _to_bytes(password))
        return matches and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        return self._hasher.check_needs_rehash(password_hash)

    def _matches(self, password_hash: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except VerifyMismatchError:
            return False

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if not self._places.acquire(blocking=False):
            raise Overloaded("too many passwords are being checked", RETRY_AFTER_SECONDS)
        future = self._pool.submit(work, *args, **kwargs)
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, _future: Future[Any]) -> None:
        """Also for a caller that went away: its place is free when the work is done, or was dropped before it began."""
        self._places.release()


def _to_bytes(password: str) -> bytes:
    """NFKC, so that each keyboard's way to type a character counts as the same (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


@asynccontextmanager
async def open_passwords(hasher: PasswordHasher, threads: int, queue: int) -> AsyncIterator[Argon2Passwords]:
    """The pool: `threads` hashes at once and `queue` more that wait; beyond that, Overloaded."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
    try:
        dummy_hash = await asyncio.wrap_future(pool.submit(hasher.hash, secrets.token_bytes()))
        yield Argon2Passwords(hasher, dummy_hash, pool, threads + queue)
    finally:
        await asyncio.to_thread(pool.shutdown, cancel_futures=True)
