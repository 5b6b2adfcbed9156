"""Who is signed in: a short-lived access token, and the refresh token that is kept between runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from parley_kit.errors import Unauthenticated
from parley_standalone.client.api import Api, Data
from parley_standalone.client.credentials import CredentialFile, Saved

_SESSION = "{ accessToken refreshToken user { email displayName } }"
SIGN_IN = f"mutation SignIn($input: SignInInput!) {{ session: signIn(input: $input) {_SESSION} }}"
SIGN_UP = f"mutation SignUp($input: SignUpInput!) {{ session: signUp(input: $input) {_SESSION} }}"
REFRESH = f"mutation Refresh($token: String!) {{ session: refreshSession(refreshToken: $token) {_SESSION} }}"
SIGN_OUT = "mutation SignOut($token: String!) { signOut(refreshToken: $token) }"


class Account:
    """Signs in and keeps the session alive; operations that an expired token stopped are done again, once."""

    def __init__(self, api: Api, credentials: CredentialFile) -> None:
        self._api = api
        self._credentials = credentials
        self._access_token: str | None = None
        self.email = ""
        self.display_name = ""

    async def sign_in(self, email: str, password: str) -> None:
        """Raises Unauthenticated: wrong password or unknown e-mail, which look the same."""
        await self._start(SIGN_IN, {"input": {"email": email, "password": password}})

    async def sign_up(self, email: str, password: str, display_name: str) -> None:
        """Raises Conflict when the e-mail has an account, BadInput for a weak password."""
        details = {"email": email, "password": password, "displayName": display_name}
        await self._start(SIGN_UP, {"input": details})

    async def resume(self, email: str | None = None) -> bool:
        """Go on with the session kept from an earlier run (of `email`, when given). False: there is none any more."""
        saved = self._credentials.read(self._api.url)
        if saved is None or (email is not None and saved.email != email.lower()):
            return False
        try:
            await self._refresh()
        except Unauthenticated:
            return False
        return True

    async def execute(self, document: str, variables: Mapping[str, Any]) -> Data:
        """As the signed-in user."""
        try:
            return await self._api.execute(document, variables, self._access_token)
        except Unauthenticated:
            await self._refresh()
            return await self._api.execute(document, variables, self._access_token)

    async def subscribe(self, document: str, variables: Mapping[str, Any]) -> AsyncGenerator[Data]:
        """As the signed-in user. Unauthenticated once the token expires; `renew` and subscribe again."""
        async with aclosing(self._api.subscribe(document, variables, self._access_token)) as events:
            async for data in events:
                yield data

    async def renew(self) -> None:
        """A fresh access token. Raises Unauthenticated when the session has ended."""
        await self._refresh()

    async def sign_out(self) -> None:
        """End the session here and on the server."""
        saved = self._credentials.read(self._api.url)
        if saved is not None:
            await self._api.execute(SIGN_OUT, {"token": saved.refresh_token})
            self._credentials.forget(self._api.url)

    async def _refresh(self) -> None:
        """One process at a time: two that spend the same refresh token would end the session of both."""
        async with self._credentials.exclusive():
            saved = self._credentials.read(self._api.url)
            if saved is None:
                raise Unauthenticated("not signed in")
            try:
                await self._start(REFRESH, {"token": saved.refresh_token})
            except Unauthenticated:
                self._credentials.forget(self._api.url)
                raise

    async def _start(self, document: str, variables: Mapping[str, Any]) -> None:
        session = (await self._api.execute(document, variables))["session"]
        user = session["user"]
        self._access_token = session["accessToken"]
        self.email, self.display_name = user["email"], user["displayName"]
        self._credentials.write(self._api.url, Saved(self.email, session["refreshToken"]))
