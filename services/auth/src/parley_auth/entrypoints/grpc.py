"""auth.v1 over gRPC."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from parley_auth import metrics
from parley_auth.domain.session import Session
from parley_auth.domain.user import User
from parley_auth.handlers import Accounts, Sessions
from parley_auth.ports import AccessTokens
from parley_kit.context import current_principal
from parley_kit.grpc import Access
from parley_kit.tls import CONVERSATION, GATEWAY
from parley_proto.auth.v1 import auth_pb2, auth_pb2_grpc

SERVICE = "/parley_proto.auth.v1.AuthService"
ACCESS = {
    f"{SERVICE}/SignUp": Access.PUBLIC,
    f"{SERVICE}/SignIn": Access.PUBLIC,
    f"{SERVICE}/Refresh": Access.PUBLIC,
    f"{SERVICE}/SignOut": Access.PUBLIC,
    f"{SERVICE}/GetUser": Access.USER,
    f"{SERVICE}/GetJwks": Access.PUBLIC,
}
CALLERS = {SERVICE: {GATEWAY}, f"{SERVICE}/GetJwks": {GATEWAY, CONVERSATION}}


class AuthServicer(auth_pb2_grpc.AuthServiceServicer):
    def __init__(self, accounts: Accounts, sessions: Sessions, tokens: AccessTokens) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._tokens = tokens

    async def SignUp(self, request: auth_pb2.SignUpRequest, context: Any) -> auth_pb2.SignUpResponse:  # noqa: N802
        with metrics.counted(metrics.SIGN_UPS):
            session = await self._accounts.sign_up(
                request.email, request.password, request.display_name, request.client_address
            )
        return auth_pb2.SignUpResponse(session=_to_session(session))

    async def SignIn(self, request: auth_pb2.SignInRequest, context: Any) -> auth_pb2.SignInResponse:  # noqa: N802
        with metrics.counted(metrics.SIGN_INS):
            session = await self._accounts.sign_in(request.email, request.password, request.client_address)
        return auth_pb2.SignInResponse(session=_to_session(session))

    async def Refresh(self, request: auth_pb2.RefreshRequest, context: Any) -> auth_pb2.RefreshResponse:  # noqa: N802
        with metrics.counted(metrics.REFRESHES):
            session = await self._sessions.refresh(request.refresh_token)
        return auth_pb2.RefreshResponse(session=_to_session(session))

    async def SignOut(self, request: auth_pb2.SignOutRequest, context: Any) -> auth_pb2.SignOutResponse:  # noqa: N802
        with metrics.counted(metrics.SIGN_OUTS):
            await self._sessions.sign_out(request.refresh_token)
        return auth_pb2.SignOutResponse()

    async def GetUser(self, request: auth_pb2.GetUserRequest, context: Any) -> auth_pb2.GetUserResponse:  # noqa: N802
        user = await self._accounts.get_user(current_principal().user_id)
        return auth_pb2.GetUserResponse(user=_to_user(user))

    async def GetJwks(self, request: auth_pb2.GetJwksRequest, context: Any) -> auth_pb2.GetJwksResponse:  # noqa: N802
        return auth_pb2.GetJwksResponse(jwks_json=json.dumps(self._tokens.jwks()))


def _to_session(session: Session) -> auth_pb2.Session:
    return auth_pb2.Session(
        access_token=session.access_token,
        refresh_token=session.refresh_token,
        expires_in=session.expires_in,
        user=_to_user(session.user),
    )


def _to_user(user: User) -> auth_pb2.User:
    created_at = Timestamp()
    created_at.FromDatetime(user.created_at)
    return auth_pb2.User(id=user.id, email=user.email, display_name=user.display_name, created_at=created_at)
