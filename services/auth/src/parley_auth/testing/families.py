"""Contract: refresh families."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from parley_auth.domain.family import Family, RefreshToken
from parley_auth.ports import RefreshFamilies, Users
from parley_auth.testing.users import new_account
from parley_kit.ids import new_id

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def new_token(family: Family, parent: RefreshToken | None = None, expires_at: datetime = NOW + SECOND) -> RefreshToken:
    return RefreshToken(secrets.token_bytes(32), family.id, parent.digest if parent else None, expires_at)


class FamiliesContract:
    @pytest.fixture
    async def family(self, users: Users) -> Family:
        account = new_account()
        await users.add(account)
        return Family(new_id(), account.user.id, NOW)

    @pytest.fixture
    async def root(self, families: RefreshFamilies, family: Family) -> RefreshToken:
        token = new_token(family)
        await families.start(family, token)
        return token

    async def test_a_started_family_is_found_by_its_token(
        self, families: RefreshFamilies, family: Family, root: RefreshToken
    ) -> None:
        """Both are read back, every field of them."""
        assert await families.find(root.digest) == (family, root)

    async def test_an_unknown_token_is_none(self, families: RefreshFamilies, root: RefreshToken) -> None:
        """No digest finds another's family."""
        assert await families.find(secrets.token_bytes(32)) is None
        assert await families.redeem(secrets.token_bytes(32), NOW) is None

    async def test_a_redeemed_token_keeps_its_first_use(self, families: RefreshFamilies, root: RefreshToken) -> None:
        """A later use tells when the first one was."""
        used = replace(root, first_used_at=NOW)
        assert await families.redeem(root.digest, NOW) == used
        assert await families.redeem(root.digest, NOW + SECOND) == used
        found = await families.find(root.digest)
        assert found is not None
        assert found[1] == used

    async def test_concurrent_uses_agree_on_the_first(self, families: RefreshFamilies, root: RefreshToken) -> None:
        """Redeeming is one atomic step: everybody sees one and the same first use."""
        uses = [families.redeem(root.digest, NOW + count * SECOND) for count in range(20)]
        first_uses = {token.first_used_at for token in await asyncio.gather(*uses) if token}
        assert len(first_uses) == 1
        assert None not in first_uses

    async def test_a_successor_in_use_spends_its_parent(
        self, families: RefreshFamilies, family: Family, root: RefreshToken
    ) -> None:
        """The parent alone: neither the siblings nor the token itself."""
        child, sibling = new_token(family, root), new_token(family, root)
        for token in (child, sibling):
            await families.issue(token)
        await families.redeem(root.digest, NOW)
        assert await families.redeem(child.digest, NOW) == replace(child, first_used_at=NOW)
        assert await families.find(root.digest) == (family, replace(root, first_used_at=NOW, spent=True))
        assert await families.find(sibling.digest) == (family, sibling)

    async def test_an_issued_token_belongs_to_its_family(
        self, families: RefreshFamilies, family: Family, root: RefreshToken
    ) -> None:
        """A successor finds the family, and issuing spends nothing."""
        child = new_token(family, root, NOW + 5 * SECOND)
        await families.issue(child)
        assert await families.find(child.digest) == (family, child)
        assert await families.find(root.digest) == (family, root)

    async def test_a_family_ends_once(self, families: RefreshFamilies, family: Family, root: RefreshToken) -> None:
        """The time of the first end stays."""
        assert await families.end(family.id, NOW)
        assert not await families.end(family.id, NOW + SECOND)
        assert not await families.end(new_id(), NOW)
        assert await families.find(root.digest) == (replace(family, ended_at=NOW), root)

    async def test_ended_families_are_listed_from_a_moment_on(
        self, families: RefreshFamilies, users: Users, family: Family, root: RefreshToken
    ) -> None:
        """The moment itself counts; earlier ends and families that go on do not."""
        other = replace(family, id=new_id())
        await families.start(other, new_token(other))
        await families.end(family.id, NOW)
        assert replace(family, ended_at=NOW) in await families.ended_since(NOW)
        assert all(ended.user_id != family.user_id for ended in await families.ended_since(NOW + SECOND))
        assert len([ended for ended in await families.ended_since(NOW) if ended.user_id == family.user_id]) == 1

    async def test_what_has_expired_is_forgotten(
        self, families: RefreshFamilies, family: Family, root: RefreshToken
    ) -> None:
        """A token at its expiry goes, one that lives stays, and a family goes with its last token."""
        child = new_token(family, root, NOW + 5 * SECOND)
        await families.issue(child)
        await families.purge(NOW + SECOND, NOW)
        assert await families.find(root.digest) is None
        assert await families.find(child.digest) == (family, child)
        await families.purge(NOW + 5 * SECOND, NOW)
        assert await families.find(child.digest) is None
        assert not await families.end(family.id, NOW)

    async def test_an_end_is_remembered_for_as_long_as_asked(
        self, families: RefreshFamilies, family: Family, root: RefreshToken
    ) -> None:
        """Also when every token of the family has expired: its access tokens may outlive these."""
        await families.end(family.id, NOW)
        ended = replace(family, ended_at=NOW)
        await families.purge(NOW + 9 * SECOND, NOW)
        assert ended in await families.ended_since(NOW)
        assert await families.find(root.digest) == (ended, root)
        await families.purge(NOW + 9 * SECOND, NOW + SECOND)
        assert await families.find(root.digest) is None
        assert not [each for each in await families.ended_since(NOW) if each.id == family.id]
