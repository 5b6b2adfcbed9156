"""How often somebody may try. By address against floods, by account against guessing from many addresses."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass

from parley_kit.errors import RateLimited
from parley_live import Rate, RateLimits

MINUTE = 60.0
IPV6_SITE_BITS = 64


@dataclass(frozen=True, slots=True)
class AttemptsPerMinute:
    sign_ups_of_address: int
    sign_ins_of_address: int
    sign_ins_of_account: int
    refreshes_of_session: int


class Throttle:
    """Each method admits one attempt or raises RateLimited. Unavailable when the limits' store is away: fail closed."""

    def __init__(self, limits: RateLimits, attempts: AttemptsPerMinute) -> None:
        self._limits = limits
        self._attempts = attempts

    async def sign_up(self, address: str) -> None:
        await self._take(f"auth:sign-up:address:{_network(address)}", self._attempts.sign_ups_of_address)

    async def sign_in(self, address: str, email: str) -> None:
        await self._take(f"auth:sign-in:address:{_network(address)}", self._attempts.sign_ins_of_address)
        await self._take(f"auth:sign-in:account:{_hidden(email)}", self._attempts.sign_ins_of_account)

    async def refresh(self, session_id: str) -> None:
        await self._take(f"auth:refresh:session:{session_id}", self._attempts.refreshes_of_session)

    async def _take(self, key: str, limit: int) -> None:
        wait = await self._limits.take(key, Rate(limit, MINUTE))
        if wait > 0:
            raise RateLimited("too many attempts: try again later", wait)


def _network(address: str) -> str:
    """Who an address stands for: an IPv4 address, or the whole IPv6 site, of which one machine has every address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    mapped = parsed.ipv4_mapped
    return str(mapped or ipaddress.IPv6Network((int(parsed), IPV6_SITE_BITS), strict=False))


def _hidden(email: str) -> str:
    """The limits' store gets no e-mail address."""
    return hashlib.sha256(email.encode("utf-8", "surrogatepass")).hexdigest()
