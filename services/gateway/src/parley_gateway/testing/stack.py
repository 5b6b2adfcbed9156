"""A whole gateway on a free port, with its small services behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from parley_gateway.bootstrap import open_gateway
from parley_gateway.settings import GatewaySettings
from parley_gateway.testing.conversations import SmallConversations
from parley_gateway.testing.identity import SmallAuth
from parley_kit.clock import SystemClock
from parley_kit.grpc import Access, Guard, open_server
from parley_kit.health import Readiness
from parley_kit.tokens import TokenVerifier
from parley_live.memory import MemoryLive
from parley_proto.auth.v1 import auth_pb2_grpc
from parley_proto.auth.v1.auth_pb2 import User
from parley_proto.conversation.v1 import conversation_pb2_grpc

AUTH = "/parley_proto.auth.v1.AuthService"
CONVERSATION = "/parley_proto.conversation.v1.ConversationService"


@dataclass
class Stack:
    """Everything around one gateway. `user` is signed in with `token`."""

    auth: SmallAuth
    conversations: SmallConversations
    live: MemoryLive
    readiness: Readiness
    user: User
    token: str
    port: int = 0
    http: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)

    async def ask(self, query: str, variables: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        """The response to a POST as the user."""
        headers = {"authorization": f"Bearer {self.token}", **headers}
        reply = await self.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
        body: dict[str, Any] = reply.json()
        return body


@asynccontextmanager
async def open_stack(**settings: object) -> AsyncIterator[Stack]:
    """The gateway runs in the settings given, on top of those that connect it."""
    live = MemoryLive(SystemClock())
    auth, conversations = SmallAuth(), SmallConversations()
    user = auth.add_user()
    stack = Stack(auth, conversations, live, Readiness(), user, auth.issue(user.id))
    async with (
        open_server([lambda s: auth_pb2_grpc.add_AuthServiceServicer_to_server(auth, s)], _guard(stack)) as one,
        open_server(
            [lambda s: conversation_pb2_grpc.add_ConversationServiceServicer_to_server(conversations, s)], _guard(stack)
        ) as two,
        _opened(stack, f"127.0.0.1:{one.port}", f"127.0.0.1:{two.port}", settings),
    ):
        yield stack


@asynccontextmanager
async def _opened(stack: Stack, auth: str, conversation: str, settings: dict[str, object]) -> AsyncIterator[None]:
    chosen = GatewaySettings.load(
        **{"gateway_port": 0, "auth_address": auth, "conversation_address": conversation, **settings}
    )
    async with open_gateway(chosen, stack.live, SystemClock(), stack.readiness) as gateway:
        stack.port = gateway.port
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=10) as stack.http:
            yield


def _guard(stack: Stack) -> Guard:
    async def fetch_jwks() -> Any:
        return stack.auth.jwks()

    verifier = TokenVerifier(fetch_jwks, stack.live.is_revoked, SystemClock())
    public = {f"{AUTH}/GetUser": Access.USER, f"{CONVERSATION}/ListModels": Access.PUBLIC}
    return Guard({AUTH: Access.PUBLIC, CONVERSATION: Access.USER, **public}, verifier.verify, "service")
