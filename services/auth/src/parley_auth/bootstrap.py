"""The service put together: the only module that knows which adapters are used."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher

from parley_auth.adapters.jwt import JwtAccessTokens
from parley_auth.adapters.keys import KeyRing, load_or_make_ring, parse_ring
from parley_auth.adapters.passwords import light_hasher, open_passwords, strong_hasher
from parley_auth.adapters.sqlite import SqliteRefreshFamilies, SqliteUsers, open_store
from parley_auth.entrypoints.grpc import ACCESS, CALLERS, AuthServicer
from parley_auth.handlers import Accounts, Sessions, Upkeep
from parley_auth.ports import RefreshFamilies, Users
from parley_auth.settings import AuthSettings
from parley_auth.throttle import Throttle
from parley_kit.clock import Clock
from parley_kit.grpc import Guard, open_server
from parley_kit.health import Readiness
from parley_kit.settings import ConfigError, prepare_data_dir
from parley_kit.sqlite import Database
from parley_kit.tls import load_tls
from parley_kit.tokens import TokenVerifier
from parley_kit.waiting import until_available
from parley_live import Live
from parley_proto.auth.v1 import auth_pb2_grpc

DATABASE_FILE = "auth.sqlite3"
KEY_FOLDER = "keys"


@dataclass(frozen=True, slots=True)
class AuthService:
    """The running service. `address` is that of its gRPC server, host:port."""

    address: str


@dataclass(frozen=True, slots=True)
class Core:
    """The use cases on their adapters, before any way in."""

    accounts: Accounts
    sessions: Sessions
    upkeep: Upkeep
    tokens: JwtAccessTokens


@dataclass(frozen=True, slots=True)
class Stores:
    users: Users
    families: RefreshFamilies


@asynccontextmanager
async def open_auth(
    settings: AuthSettings, live: Live, clock: Clock, readiness: Readiness, hasher: PasswordHasher | None = None
) -> AsyncIterator[AuthService]:
    """Serve until the block ends. Raises ConfigError. `hasher` replaces the one that the settings mean."""
    hasher = hasher or (strong_hasher() if settings.env == "production" else light_hasher())
    async with (
        open_core(settings, live, clock, readiness, hasher) as core,
        _keep_up(core.upkeep),
        _serve(settings, core, live, clock) as address,
    ):
        yield AuthService(address)


@asynccontextmanager
async def open_core(
    settings: AuthSettings, live: Live, clock: Clock, readiness: Readiness, hasher: PasswordHasher
) -> AsyncIterator[Core]:
    """The handlers, with their store and their pool open. Raises ConfigError."""
    tokens = JwtAccessTokens(await asyncio.to_thread(load_ring, settings))
    async with (
        open_stores(settings, readiness) as stores,
        open_passwords(hasher, settings.auth_hash_threads, settings.hash_queue) as passwords,
    ):
        throttle = Throttle(live, settings.attempts)
        sessions = Sessions(stores.families, stores.users, tokens, live, throttle, clock)
        accounts = Accounts(stores.users, passwords, sessions, throttle, clock)
        yield Core(accounts, sessions, Upkeep(stores.families, tokens, live, clock), tokens)


@asynccontextmanager
async def open_stores(settings: AuthSettings, readiness: Readiness) -> AsyncIterator[Stores]:
    """SQLite, or MongoDB where the settings name one; that is waited for. Raises ConfigError."""
    if settings.mongo_url is not None:
        async with _open_mongo(settings.mongo_url.get_secret_value(), settings.auth_database, readiness) as stores:
            yield stores
        return
    data_dir = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
    async with open_store(data_dir / DATABASE_FILE) as database:
        readiness.add("auth-store", lambda: _check(database))
        yield Stores(SqliteUsers(database), SqliteRefreshFamilies(database))


@asynccontextmanager
async def _open_mongo(url: str, name: str, readiness: Readiness) -> AsyncIterator[Stores]:
    # Imported here: embedded mode need not wait for a client that it does not use.
    from parley_auth.adapters.mongo import MIGRATIONS, MongoRefreshFamilies, MongoUsers
    from parley_kit.mongo import migrate, mongo_calls, open_mongo

    async with open_mongo(url, name) as db:

        async def check() -> None:
            async with mongo_calls():
                await db.command("ping")

        readiness.add("mongodb", check)
        await until_available("mongodb", lambda: migrate(db, MIGRATIONS))
        yield Stores(MongoUsers(db), MongoRefreshFamilies(db))


def load_ring(settings: AuthSettings) -> KeyRing:
    """The signing keys that the settings name or, in development, those of the data directory. Raises ConfigError."""
    if settings.auth_signing_key is not None:
        return parse_ring(
            settings.auth_signing_key.get_secret_value(),
            settings.auth_previous_keys.get_secret_value(),
            ("PARLEY_AUTH_SIGNING_KEY", "PARLEY_AUTH_PREVIOUS_KEYS"),
        )
    if settings.env == "production":
        raise ConfigError("PARLEY_AUTH_SIGNING_KEY: production needs a P-256 private key in PEM")
    return load_or_make_ring(prepare_data_dir(settings.data_dir) / KEY_FOLDER)


async def _check(database: Database) -> None:
    await database.read(lambda db: db.execute("SELECT 1").fetchone())


@asynccontextmanager
async def _keep_up(upkeep: Upkeep) -> AsyncIterator[None]:
    """The first turn comes before the first request: a restart makes no ended session good again."""
    await upkeep.turn()
    task = asyncio.create_task(upkeep.run(), name="auth-upkeep")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _serve(settings: AuthSettings, core: Core, live: Live, clock: Clock) -> AsyncIterator[str]:
    async def own_keys() -> Mapping[str, Any]:
        return core.tokens.jwks()

    verifier = TokenVerifier(own_keys, live.is_revoked, clock)
    # No method is for services, so nobody knows this token.
    guard = Guard(ACCESS, verifier.verify, service_token=secrets.token_urlsafe(), callers=CALLERS)
    servicer = AuthServicer(core.accounts, core.sessions, core.tokens)
    register = [lambda server: auth_pb2_grpc.add_AuthServiceServicer_to_server(servicer, server)]
    async with open_server(register, guard, settings.auth_host, settings.auth_port, load_tls(settings)) as server:
        yield f"{settings.auth_host}:{server.port}"
