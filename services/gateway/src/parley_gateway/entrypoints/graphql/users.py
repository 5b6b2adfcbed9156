"""Users and sessions in the schema."""

from __future__ import annotations

from datetime import datetime
from typing import Self

import strawberry

from parley_gateway.entrypoints.graphql.instants import to_datetime
from parley_proto.auth.v1 import auth_pb2


@strawberry.interface
class Node:
    id: strawberry.ID


@strawberry.type
class User(Node):
    email: str
    display_name: str
    created_at: datetime

    @classmethod
    def of(cls, user: auth_pb2.User) -> Self:
        return cls(
            id=strawberry.ID(user.id),
            email=user.email,
            display_name=user.display_name,
            created_at=to_datetime(user.created_at),
        )


@strawberry.type(description="expiresIn: seconds the access token lives.")
class Session:
    access_token: str
    refresh_token: str
    expires_in: int
    user: User

    @classmethod
    def of(cls, session: auth_pb2.Session) -> Self:
        return cls(
            access_token=session.access_token,
            refresh_token=session.refresh_token,
            expires_in=session.expires_in,
            user=User.of(session.user),
        )


@strawberry.input
class SignUpInput:
    email: str
    password: str
    display_name: str


@strawberry.input
class SignInInput:
    email: str
    password: str
