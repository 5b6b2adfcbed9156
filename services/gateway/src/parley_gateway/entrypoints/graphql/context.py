"""What a resolver can reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from strawberry.types import Info as StrawberryInfo

from parley_gateway.backends import Backends
from parley_gateway.caller import Caller
from parley_kit.clock import Clock
from parley_live.base import TokenStreams

if TYPE_CHECKING:
    from parley_gateway.entrypoints.graphql.loaders import Loaders


@dataclass(frozen=True, slots=True)
class Operation:
    """One GraphQL operation under way. request_id is what its log lines and masked errors show."""

    caller: Caller
    backends: Backends
    streams: TokenStreams
    clock: Clock
    loaders: Loaders
    request_id: str


Info: TypeAlias = StrawberryInfo[Operation, None]
