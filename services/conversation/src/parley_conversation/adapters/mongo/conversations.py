"""Conversations in MongoDB, a document each.

A deletion is first noted in `deletions`, then takes the document away: nobody can find what is not there. Cut off
between the two, it is completed by the next look at what is to be purged.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from parley_conversation.adapters.mongo.codec import from_conversation, to_conversation, to_micros
from parley_conversation.adapters.mongo.search import MongoSearch, title_fields
from parley_conversation.domain.conversation import Conversation, Message
from parley_conversation.ports import ConversationChanges, ConversationQuery
from parley_kit.mongo import Document, Mongo, mongo_calls

NEWEST_FIRST = {"updated_at": -1, "_id": -1}


class MongoConversations:
    def __init__(self, db: Mongo) -> None:
        self._conversations = db.conversations
        self._deletions = db.deletions
        self._search = MongoSearch(db)

    async def insert(self, conversation: Conversation) -> None:
        document = {**from_conversation(conversation), **title_fields(conversation.title), "last_seq": 0}
        async with mongo_calls():
            try:
                await self._conversations.insert_one(document)
            except DuplicateKeyError:
                return  # this insert, whose answer was lost and that the driver repeated

    async def get(self, conversation_id: str) -> Conversation | None:
        async with mongo_calls():
            document = await self._conversations.find_one({"_id": conversation_id})
        return None if document is None else to_conversation(document)

    async def get_many(self, conversation_ids: Sequence[str]) -> Sequence[Conversation]:
        return await self._find({"_id": {"$in": list(dict.fromkeys(conversation_ids))}})

    async def find(self, query: ConversationQuery) -> Sequence[Conversation]:
        """A page after a cursor is two looks, so that each is a range of one index: equal times, then older ones."""
        mine: Document = {"owner_id": query.owner_id, "archived": query.archived}
        if query.search and not query.search.isspace():
            mine["_id"] = {"$in": sorted(await self._search.find(query.owner_id, query.search))}
        if query.after is None:
            return await self._find(mine, query.first)
        at, last_id = to_micros(query.after[0]), query.after[1]
        same_time = {**mine, "updated_at": at, "_id": {**mine.get("_id", {}), "$lt": last_id}}
        found = await self._find(same_time, query.first)
        if len(found) < query.first:
            found += await self._find({**mine, "updated_at": {"$lt": at}}, query.first - len(found))
        return found

    async def update(self, conversation_id: str, changes: ConversationChanges, now: datetime) -> Conversation | None:
        values: Document = {"title": changes.title, "archived": changes.archived, "model": changes.model}
        values = {name: value for name, value in values.items() if value is not None}
        if changes.title is not None:
            values |= title_fields(changes.title)
        if changes.system_prompt:
            values["system_prompt"] = changes.system_prompt
        update: Document = {"$max": {"updated_at": to_micros(now)}}
        if values:
            update["$set"] = values
        if changes.system_prompt == "":
            update["$unset"] = {"system_prompt": ""}
        document = await self._change(conversation_id, update)
        return None if document is None else to_conversation(document)

    async def entitle(self, conversation_id: str, title: str) -> None:
        untitled = {"$eq": ["$title", ""]}
        values = {"title": title, **title_fields(title)}
        given = {name: {"$cond": [untitled, {"$literal": value}, f"${name}"]} for name, value in values.items()}
        async with mongo_calls():
            await self._conversations.update_one({"_id": conversation_id}, [{"$set": given}])

    async def reserve(self, conversation_id: str, count: int, now: datetime) -> int | None:
        """Its answer lost, the seqs are a gap: nobody else gets them."""
        update = {"$inc": {"last_seq": count}, "$max": {"updated_at": to_micros(now)}}
        document = await self._change(conversation_id, update, {"last_seq": 1})
        return None if document is None else int(document["last_seq"]) - count + 1

    async def delete(self, conversation_id: str) -> bool:
        key = {"_id": conversation_id}
        async with mongo_calls():
            if await self._conversations.find_one(key, {"_id": 1}) is None:
                return False
            try:
                await self._deletions.insert_one(dict(key))
                noted = True
            except DuplicateKeyError:
                noted = False
            taken = await self._conversations.delete_one(key)
        return noted or taken.deleted_count == 1

    async def purgeable(self, most: int) -> Sequence[str]:
        async with mongo_calls():
            found = [document["_id"] async for document in self._deletions.find({}, limit=most)]
            if found:
                await self._conversations.delete_many({"_id": {"$in": found}})
        return found

    async def purged(self, conversation_id: str) -> None:
        if await self.get(conversation_id) is not None:
            return
        await self._search.forget(conversation_id)
        async with mongo_calls():
            await self._deletions.delete_one({"_id": conversation_id})

    async def index(self, message: Message) -> None:
        async with mongo_calls():
            owner = await self._conversations.find_one({"_id": message.conversation_id}, {"owner_id": 1})
        if owner is not None:
            await self._search.index(owner["owner_id"], message)

    async def _change(
        self, conversation_id: str, update: Document, projection: Document | None = None
    ) -> Document | None:
        async with mongo_calls():
            return await self._conversations.find_one_and_update(
                {"_id": conversation_id}, update, projection, return_document=ReturnDocument.AFTER
            )

    async def _find(self, key: Document, most: int = 0) -> list[Conversation]:
        """Newest activity first. most 0: all."""
        async with mongo_calls():
            found = await self._conversations.find(key).sort(NEWEST_FIRST).limit(most).to_list()
        return list(map(to_conversation, found))
