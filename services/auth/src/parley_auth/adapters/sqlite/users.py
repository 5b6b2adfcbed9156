"""Users in SQLite."""

from __future__ import annotations

import sqlite3

from parley_auth.adapters.sqlite.schema import from_micros, to_micros
from parley_auth.domain.user import Account, User
from parley_kit.errors import Conflict
from parley_kit.sqlite import Database


class SqliteUsers:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, account: Account) -> None:
        user = account.user
        row = (user.id, user.email, user.display_name, account.password_hash, to_micros(user.created_at))
        try:
            await self._database.write(lambda db: db.execute("INSERT INTO users VALUES (?, ?, ?, ?, ?)", row).rowcount)
        except sqlite3.IntegrityError:
            raise Conflict("the e-mail is taken") from None

    async def find(self, user_id: str) -> User | None:
        row = await self._one("SELECT * FROM users WHERE id = ?", user_id)
        return None if row is None else _to_user(row)

    async def find_account(self, email: str) -> Account | None:
        row = await self._one("SELECT * FROM users WHERE email = ?", email)
        return None if row is None else Account(_to_user(row), row["password_hash"])

    async def replace_hash(self, user_id: str, old: str, new: str) -> bool:
        statement = "UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ?"
        return await self._database.write(lambda db: db.execute(statement, (new, user_id, old)).rowcount == 1)

    async def _one(self, statement: str, key: str) -> sqlite3.Row | None:
        def query(db: sqlite3.Connection) -> sqlite3.Row | None:
            row: sqlite3.Row | None = db.execute(statement, (key,)).fetchone()
            return row

        return await self._database.read(query)


def _to_user(row: sqlite3.Row) -> User:
    return User(row["id"], row["email"], row["display_name"], from_micros(row["created_at"]))
