"""Refresh families in MongoDB: a document for each family and for each token.

Every change is one document's, by an operation that does no harm when the driver repeats it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument

from parley_auth.domain.family import Family, RefreshToken
from parley_kit.mongo import Collection, Document, Mongo, mongo_calls

PURGED_AT_ONCE = 1000


class MongoRefreshFamilies:
    def __init__(self, db: Mongo) -> None:
        self._families = db.refresh_families
        self._tokens = db.refresh_tokens

    async def start(self, family: Family, token: RefreshToken) -> None:
        async with mongo_calls():
            await _put(self._tokens, _from_token(token))
            await _put(self._families, _from_family(family))

    async def find(self, digest: bytes) -> tuple[Family, RefreshToken] | None:
        async with mongo_calls():
            token = await self._tokens.find_one({"_id": digest})
            family = await self._families.find_one({"_id": token["family_id"]}) if token else None
        return (_to_family(family), _to_token(token)) if family and token else None

    async def redeem(self, digest: bytes, now: datetime) -> RefreshToken | None:
        first_use = {"$ifNull": ["$first_used_at", now]}
        async with mongo_calls():
            token = await self._tokens.find_one({"_id": digest})
            if token is not None and "parent" in token:
                await self._tokens.update_one({"_id": token["parent"]}, {"$set": {"spent": True}})
            # Of all who come at once, each reads what the first one wrote: a write that reads, not two steps.
            redeemed = await self._tokens.find_one_and_update(
                {"_id": digest}, [{"$set": {"first_used_at": first_use}}], return_document=ReturnDocument.AFTER
            )
        return None if redeemed is None else _to_token(redeemed)

    async def issue(self, token: RefreshToken) -> None:
        async with mongo_calls():
            await _put(self._tokens, _from_token(token))

    async def end(self, family_id: str, now: datetime) -> bool:
        going_on = {"_id": family_id, "ended_at": {"$exists": False}}
        async with mongo_calls():
            return (await self._families.update_one(going_on, {"$set": {"ended_at": now}})).matched_count == 1

    async def ended_since(self, moment: datetime) -> Sequence[Family]:
        async with mongo_calls():
            return [_to_family(document) async for document in self._families.find({"ended_at": {"$gte": moment}})]

    async def purge(self, now: datetime, ended_before: datetime) -> None:
        expired = self._tokens.find({"expires_at": {"$lte": now}}, {"family_id": 1}).sort("expires_at", 1)
        while True:
            async with mongo_calls():
                batch = await expired.to_list(PURGED_AT_ONCE)
                if not batch:
                    return
                await self._forget(batch, now, ended_before)

    async def _forget(self, expired: Sequence[Document], now: datetime, ended_before: datetime) -> None:
        """Families go before their tokens: after a crash in between, the tokens lead the next purge here again."""
        owners = list({token["family_id"] for token in expired})
        kept = {"_id": {"$in": owners}, "ended_at": {"$gte": ended_before}}
        going = set(owners) - set(await self._families.distinct("_id", kept))
        living = {"family_id": {"$in": list(going)}, "expires_at": {"$gt": now}}
        over = going - set(await self._tokens.distinct("family_id", living))
        await self._families.delete_many({"_id": {"$in": list(over)}})
        await self._tokens.delete_many({"_id": {"$in": [it["_id"] for it in expired if it["family_id"] in going]}})


async def _put(collection: Collection, document: Document) -> None:
    """Insert, or find it there already: ids are drawn anew for each document, so it is the same one."""
    await collection.update_one({"_id": document["_id"]}, {"$setOnInsert": document}, upsert=True)


def _from_family(family: Family) -> Document:
    document = {"_id": family.id, "user_id": family.user_id, "started_at": family.started_at}
    return _with(document, ended_at=family.ended_at)


def _from_token(token: RefreshToken) -> Document:
    document = {
        "_id": token.digest,
        "family_id": token.family_id,
        "expires_at": token.expires_at,
        "spent": token.spent,
    }
    return _with(document, parent=token.parent, first_used_at=token.first_used_at)


def _with(document: Document, **optional: Any) -> Document:
    return document | {name: value for name, value in optional.items() if value is not None}


def _to_family(document: Document) -> Family:
    return Family(document["_id"], document["user_id"], document["started_at"], document.get("ended_at"))


def _to_token(document: Document) -> RefreshToken:
    return RefreshToken(
        document["_id"],
        document["family_id"],
        document.get("parent"),
        document["expires_at"],
        document.get("first_used_at"),
        document["spent"],
    )
