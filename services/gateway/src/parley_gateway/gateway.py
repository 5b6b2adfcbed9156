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
    """One gateway process; nothing in it outlives the process. origins: those besides its own that may connect."""

    engine: Engine
    backends: Backends
    verifier: TokenVerifier
    live: Live
    clock: Clock
    requests: Capacity
    streams: Capacity
    origins: frozenset[str]
    development: bool

    def caller(self, connection: HTTPConnection, authorization: str | None) -> Caller:
        """Whoever is at the other end of `connection`, with the credentials given."""
        address = connection.client.host if connection.client else ""
        return Caller(authorization, address, self.verifier.verify)

    def operation(self, caller: Caller, request_id: str | None = None) -> Operation:
        """The context of one operation, with loaders of its own."""
        loaders = Loaders(self.backends)
        return Operation(caller, self.backends, self.live, self.clock, loaders, request_id or new_id())

    async def until_invalid(self, caller: Caller) -> str:
        """Returns, with the reason, when the caller's token is no longer good."""
        return await caller.until_invalid(self.clock, self.live.is_revoked)
