"""Contract: users."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from parley_auth.domain.user import Account, User
from parley_auth.ports import Users
from parley_kit.errors import Conflict
from parley_kit.ids import new_id

CREATED_AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def new_account(email: str | None = None) -> Account:
    user_id = new_id()
    return Account(User(user_id, email or f"{user_id}@example.org", "Ada “\U0001f9ee” L.", CREATED_AT), "hash")


class UsersContract:
    async def test_an_account_is_found_by_id_and_by_email(self, users: Users) -> None:
        """What add returned from is read back, every field of it."""
        account = new_account()
        await users.add(account)
        assert await users.find(account.user.id) == account.user
        assert await users.find_account(account.user.email) == account

    async def test_an_unknown_user_is_none(self, users: Users) -> None:
        """No id and no e-mail finds somebody else."""
        await users.add(new_account())
        assert await users.find(new_id()) is None
        assert await users.find_account(f"{new_id()}@example.org") is None

    async def test_a_taken_email_is_a_conflict(self, users: Users) -> None:
        """The second account of an e-mail is refused, and the first stays as it was."""
        first = new_account()
        await users.add(first)
        second = new_account(first.user.email)
        with pytest.raises(Conflict):
            await users.add(second)
        assert await users.find_account(first.user.email) == first
        assert await users.find(second.user.id) is None

    async def test_of_concurrent_adds_one_succeeds(self, users: Users) -> None:
        """Uniqueness is the store's, not that of a check before."""
        accounts = [new_account(f"{new_id()}@example.org")]
        accounts += [new_account(accounts[0].user.email) for _ in range(9)]
        outcomes = await asyncio.gather(*map(users.add, accounts), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes if outcome is not None] == [Conflict] * 9
        assert await users.find_account(accounts[0].user.email) == accounts[outcomes.index(None)]

    async def test_a_hash_is_replaced_by_compare_and_set(self, users: Users) -> None:
        """Only the expected hash is replaced."""
        account = new_account()
        await users.add(account)
        assert not await users.replace_hash(account.user.id, "another", "new")
        assert await users.find_account(account.user.email) == account
        assert await users.replace_hash(account.user.id, "hash", "new")
        assert await users.find_account(account.user.email) == Account(account.user, "new")
        assert not await users.replace_hash(new_id(), "new", "newer")
