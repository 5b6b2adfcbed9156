"""Getting a session: a kept one, the e-mail and password given, or a short talk."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from parley_kit.errors import BadInput, Conflict, Unauthenticated
from parley_standalone.client import Account

TRIES = 3


@dataclass(frozen=True, slots=True)
class Login:
    """What the command line gave. `interactive`: a person can be asked for the rest."""

    email: str | None
    password: str | None
    interactive: bool


async def ensure_session(account: Account, login: Login) -> bool:
    """Sign in, or up when the e-mail is new. True: a new account was made. Raises ParleyError when it cannot be."""
    if login.password is None and await account.resume(login.email):
        return False
    if login.email is not None and login.password is not None:
        return await _sign_in_or_up(account, login.email, login.password)
    if not login.interactive:
        raise Unauthenticated("not signed in: give --email and --password (or PARLEY_EMAIL and PARLEY_PASSWORD)")
    for _ in range(TRIES - 1):
        try:
            return await _talk(account, login)
        except (Unauthenticated, BadInput) as error:
            typer.secho(f"{error.message}. Once more:", fg="yellow", err=True)
    return await _talk(account, login)


async def _sign_in_or_up(account: Account, email: str, password: str) -> bool:
    try:
        await account.sign_in(email, password)
    except Unauthenticated as error:
        try:
            await account.sign_up(email, password, _name_from(email))
        except Conflict:
            raise error from None
        return True
    return False


async def _talk(account: Account, login: Login) -> bool:
    email = login.email or typer.prompt("E-mail", err=True)
    password = login.password or typer.prompt("Password (8 characters or more)", hide_input=True, err=True)
    try:
        await account.sign_in(email, password)
    except Unauthenticated:
        if not typer.confirm("No account has this e-mail and password. Create one?", default=True, err=True):
            raise
        name = typer.prompt("Your name", default=_name_from(email), err=True)
        await account.sign_up(email, password, name)
        return True
    return False


def _name_from(email: str) -> str:
    return email.partition("@")[0] or "me"
