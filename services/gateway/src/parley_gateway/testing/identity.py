"""A small auth service: users in a dictionary, and tokens that the real verifier accepts."""

# ruff: noqa: N802 - methods are named as in the proto

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from joserfc import jwt
from joserfc.jwk import ECKey

from parley_kit.context import current_principal
from parley_kit.errors import Conflict, Unauthenticated
from parley_kit.ids import new_id
from parley_kit.tokens import ALGORITHM, AUDIENCE, ISSUER, TOKEN_TYPE
from parley_proto.auth.v1 import auth_pb2, auth_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]

CREATED = Timestamp(seconds=1_767_323_045, nanos=678_900_000)


class SmallAuth(auth_pb2_grpc.AuthServiceServicer):
    """Knows users by e-mail; every token is good for `lifetime` seconds. `addresses` are those that came along."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256", {"kid": "test", "use": "sig"})
        self._users: dict[str, auth_pb2.User] = {}
        self.addresses: list[str] = []

    def jwks(self) -> Mapping[str, Any]:
        return {"keys": [self._key.as_dict(private=False)]}

    def issue(self, user_id: str, lifetime: float = 600.0, session_id: str = "session") -> str:
        """An access token."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": user_id, "sid": session_id, "jti": new_id()}
        header = {"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": "test"}
        return jwt.encode(header, {**claims, "iat": now, "exp": now + lifetime}, self._key, algorithms=[ALGORITHM])

    def add_user(self, email: str = "ada@example.org") -> auth_pb2.User:
        user = auth_pb2.User(id=new_id(), email=email, display_name="Ada", created_at=CREATED)
        self._users[email] = user
        return user

    async def SignUp(self, request: auth_pb2.SignUpRequest, context: Context) -> auth_pb2.SignUpResponse:
        self.addresses.append(request.client_address)
        if request.email in self._users:
            raise Conflict("the e-mail address is taken")
        return auth_pb2.SignUpResponse(session=self._session(self.add_user(request.email)))

    async def SignIn(self, request: auth_pb2.SignInRequest, context: Context) -> auth_pb2.SignInResponse:
        if request.email not in self._users:
            raise Unauthenticated("wrong e-mail address or password")
        return auth_pb2.SignInResponse(session=self._session(self._users[request.email]))

    async def Refresh(self, request: auth_pb2.RefreshRequest, context: Context) -> auth_pb2.RefreshResponse:
        if request.refresh_token != "refresh":
            raise Unauthenticated("the session has ended: sign in again")
        return auth_pb2.RefreshResponse(session=self._session(next(iter(self._users.values()))))

    async def SignOut(self, request: auth_pb2.SignOutRequest, context: Context) -> auth_pb2.SignOutResponse:
        return auth_pb2.SignOutResponse()

    async def GetUser(self, request: auth_pb2.GetUserRequest, context: Context) -> auth_pb2.GetUserResponse:
        mine = current_principal().user_id
        return auth_pb2.GetUserResponse(user=next(user for user in self._users.values() if user.id == mine))

    async def GetJwks(self, request: auth_pb2.GetJwksRequest, context: Context) -> auth_pb2.GetJwksResponse:
        return auth_pb2.GetJwksResponse(jwks_json=json.dumps(self.jwks()))

    def _session(self, user: auth_pb2.User) -> auth_pb2.Session:
        token = self.issue(user.id)
        return auth_pb2.Session(access_token=token, refresh_token="refresh", expires_in=600, user=user)
