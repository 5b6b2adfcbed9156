"""Who may call what: by the token in the call and, under mutual TLS, by the name in the caller's certificate."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, Set
from enum import Enum

from parley_kit.context import Principal
from parley_kit.errors import Forbidden, Unauthenticated
from parley_kit.grpc.options import AUTHORIZATION, SERVICE_TOKEN

HEALTH = "/grpc.health.v1.Health"


class Access(Enum):
    """What a method asks of its caller."""

    PUBLIC = "public"
    USER = "user"
    SERVICE = "service"


class Guard:
    """Decides who may call what. `access` maps a service (`/pkg.Service`) or one method (`/pkg.Service/Method`).

    So does `callers`, to the names of the services that may call it; it counts under mutual TLS alone. A method that
    is not listed is refused, so that forgetting is safe. Health is for whoever can connect.
    """

    def __init__(
        self,
        access: Mapping[str, Access],
        verify: Callable[[str], Awaitable[Principal]],
        service_token: str,
        callers: Mapping[str, Set[str]] | None = None,
    ) -> None:
        self._access = {HEALTH: Access.PUBLIC, **access}
        self._verify = verify
        self._service_token = service_token.encode()
        self._callers = callers or {}

    def admit_caller(self, method: str, names: Set[str]) -> None:
        """`names`: those in the certificate of whoever calls. Raises Forbidden."""
        service = method.rpartition("/")[0]
        allowed = self._callers.get(method) or self._callers.get(service, frozenset())
        if service != HEALTH and allowed.isdisjoint(names):
            raise Forbidden("this is not for the service that calls")

    async def admit(self, method: str, metadata: Mapping[str, str]) -> tuple[str | None, Principal | None]:
        """The caller's access token and who it speaks for. Raises Unauthenticated."""
        match self._access_of(method):
            case Access.PUBLIC:
                return None, None
            case Access.SERVICE if self._service_token and hmac.compare_digest(
                metadata.get(SERVICE_TOKEN, "").encode(), self._service_token
            ):
                return None, None
            case Access.USER:
                scheme, _, token = metadata.get(AUTHORIZATION, "").partition(" ")
                if scheme.lower() == "bearer" and token:
                    return token, await self._verify(token)
        raise Unauthenticated("sign in first: this needs an access token")

    def is_public(self, method: str) -> bool:
        return self._access_of(method) is Access.PUBLIC

    def _access_of(self, method: str) -> Access | None:
        return self._access.get(method) or self._access.get(method.rpartition("/")[0])
