"""What every transport is given: the engine, and what an operation needs of the outside."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from parley_gateway.backends import Backends
from parley_gateway.caller import Caller
from parley_gateway.capacity import Capacity
from parley_gateway.entrypoints.graphql.context import Operation
from parley_gateway.entrypoints.graphql.engine import Engine
from parley_gateway.entrypoints.graphql.loaders import Loaders
from parley_kit.clock import Clock
from parley_kit.ids import new_id
from parley_kit.tokens import TokenVerifier
from parley_live.base import Live


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway process; nothing in it outlives the process.

    origins: those besides its own that may connect. behind_proxy: X-Forwarded-For names the client.
    """

    engine: Engine
    backends: Backends
    verifier: TokenVerifier
    live: Live
    clock: Clock
    requests: Capacity
    streams: Capacity
    origins: frozenset[str]
    behind_proxy: bool
    development: bool

    def caller(self, connection: HTTPConnection, authorization: str | None) -> Caller:
        """Whoever is at the other end of `connection`, with the credentials given."""
        return Caller(authorization, client_address(connection, self.behind_proxy), self.verifier.verify)

    def operation(self, caller: Caller, request_id: str | None = None) -> Operation:
        """The context of one operation, with loaders of its own."""
        loaders = Loaders(self.backends)
        return Operation(caller, self.backends, self.live, self.clock, loaders, request_id or new_id())

    async def until_invalid(self, caller: Caller) -> str:
        """Returns, with the reason, when the caller's token is no longer good."""
        return await caller.until_invalid(self.clock, self.live.is_revoked)


def client_address(connection: HTTPConnection, behind_proxy: bool) -> str:
    """Where the client is. Of X-Forwarded-For the last entry: those before it may come from the client itself."""
    peer = connection.client.host if connection.client else ""
    if not behind_proxy:
        return peer
    added = ",".join(connection.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
    with_port = added.count(":") == 1  # some proxies add it; an IPv6 address has more of them
    return (added.partition(":")[0] if with_port else added) or peer
