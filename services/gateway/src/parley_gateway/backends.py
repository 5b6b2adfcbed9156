"""The services behind the gateway, as generated stubs over one channel each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parley_kit.grpc import open_channel
from parley_kit.tls import AUTH, CONVERSATION, Tls
from parley_kit.tokens import FetchJwks, jwks_from
from parley_proto.auth.v1 import auth_pb2_grpc
from parley_proto.conversation.v1 import conversation_pb2_grpc

if TYPE_CHECKING:
    from parley_proto.auth.v1.auth_pb2_grpc import AuthServiceAsyncStub
    from parley_proto.conversation.v1.conversation_pb2_grpc import ConversationServiceAsyncStub


@dataclass(frozen=True, slots=True)
class Backends:
    """Calls raise `ParleyError`s and end within the request's budget."""

    auth: AuthServiceAsyncStub
    conversation: ConversationServiceAsyncStub
    fetch_jwks: FetchJwks


@asynccontextmanager
async def open_backends(
    auth_address: str, conversation_address: str, tls: Tls | None = None
) -> AsyncIterator[Backends]:
    """Channels to both services. Neither needs to be there yet."""
    async with (
        open_channel(auth_address, tls=tls, peer=AUTH) as auth,
        open_channel(conversation_address, tls=tls, peer=CONVERSATION) as conversation,
    ):
        yield Backends(
            auth_pb2_grpc.AuthServiceStub(auth),
            conversation_pb2_grpc.ConversationServiceStub(conversation),
            jwks_from(auth),
        )
