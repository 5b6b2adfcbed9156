"""Generations in MongoDB: a document each, changed by compare-and-set on its `version`.

A write reads the document, lets the domain say what becomes of it, and replaces what differs if the version is still
the one that it read. The new version is a value of this write alone, so that a write whose answer was lost on the way
is known again, instead of being taken for another's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from parley_conversation.adapters.changes import Changes, Rule
from parley_conversation.adapters.mongo.codec import from_generation, to_generation, to_micros
from parley_conversation.domain import transitions
from parley_conversation.domain.generation import Generation, State
from parley_conversation.ports import Renewal
from parley_kit.errors import Unavailable
from parley_kit.ids import new_id
from parley_kit.mongo import Document, Mongo, mongo_calls

TRIES = 64
"""Each lost race is another's success, so only a crowd without end could use them up."""
DELETED_AT_ONCE = 200
ACTIVE = [str(State.QUEUED), str(State.RUNNING)]


class MongoGenerations(Changes):
    def __init__(self, db: Mongo) -> None:
        self._generations = db.generations

    async def insert(self, generation: Generation) -> Generation:
        queued = replace(generation, queued_at=generation.queued_at or generation.created_at)
        document = _document(queued, to_micros(generation.created_at), new_id())
        async with mongo_calls():
            try:
                await self._generations.insert_one(document)
            except DuplicateKeyError:
                return await self._first(queued)
        return queued

    async def find_request(self, conversation_id: str, request_id: str) -> Generation | None:
        key = {"conversation_id": conversation_id, "request_id": request_id}
        async with mongo_calls():
            document = await self._generations.find_one(key)
        return None if document is None else to_generation(document)

    async def get(self, generation_id: str) -> Generation | None:
        return next(iter(await self.get_many([generation_id])), None)

    async def get_many(self, generation_ids: Sequence[str]) -> Sequence[Generation]:
        async with mongo_calls():
            found = await self._generations.find({"_id": {"$in": list(dict.fromkeys(generation_ids))}}).to_list()
        return list(map(to_generation, found))

    async def renew(self, worker_id: str, leases: Mapping[str, int], lease_until: datetime) -> Sequence[Renewal]:
        """In one write for all of them, which changes those that hold, and one read that tells which these were."""
        attempts = [[generation_id, attempt] for generation_id, attempt in leases.items()]
        held = [
            {"$eq": ["$state", str(State.RUNNING)]},
            {"$eq": ["$worker_id", {"$literal": worker_id}]},
            {"$in": [["$_id", "$attempt"], attempts]},
        ]
        values = {"lease_until": {"$max": ["$lease_until", to_micros(lease_until)]}, "version": new_id()}
        # In the others nothing changes: a field that is not there is not made.
        changed = {name: {"$cond": [{"$and": held}, value, f"${name}"]} for name, value in values.items()}
        async with mongo_calls():
            await self._generations.update_many({"_id": {"$in": list(leases)}}, [{"$set": changed}])
        return [
            Renewal(it.id, it.cancel_requested_at is not None)
            for it in await self.get_many(list(leases))
            if transitions.renew(it, worker_id, leases[it.id], lease_until) == it
        ]

    async def settle(self, generation_id: str, debt_ids: Sequence[str], answer_stored: bool = False) -> None:
        """In one step, as it is what every message does most. The new version makes a rival read again."""
        left = {
            "$filter": {"input": "$outbox", "as": "debt", "cond": {"$not": [{"$in": ["$$debt.id", list(debt_ids)]}]}}
        }
        stored = {"answer_stored": True} if answer_stored else {}
        still_open = {"$or": [{"$in": ["$state", ACTIVE]}, {"$ne": ["$outbox", []]}]}
        update: list[Document] = [
            {"$set": {"outbox": left, "version": new_id(), **stored}},
            {"$set": {"open": still_open}},
        ]
        async with mongo_calls():
            await self._generations.update_one({"_id": generation_id}, update)

    async def active(self, owner_id: str) -> tuple[int, int]:
        mine = {"$sum": {"$cond": [{"$eq": ["$owner_id", owner_id]}, 1, 0]}}
        match = {"$match": {"open": True, "state": {"$in": ACTIVE}}}
        async with mongo_calls():
            cursor = self._generations.aggregate(
                [match, {"$group": {"_id": None, "mine": mine, "everybodys": {"$sum": 1}}}]
            )
            counts = await cursor.to_list()
        return (counts[0]["mine"], counts[0]["everybodys"]) if counts else (0, 0)

    async def overdue(
        self, now: datetime, unclaimed_since: datetime, cancelled_since: datetime, most: int
    ) -> Sequence[Generation]:
        late = [
            {"deadline": {"$lte": to_micros(now)}},
            {"cancel_requested_at": {"$lte": to_micros(cancelled_since)}},
            {"state": str(State.RUNNING), "lease_until": {"$lte": to_micros(now)}},
            {"state": str(State.RUNNING), "lease_until": {"$exists": False}},
            {"state": str(State.QUEUED), "queued_at": {"$lte": to_micros(unclaimed_since)}},
        ]
        return await self._find({"state": {"$in": ACTIVE}}, {"$or": late}, {"created_at": 1}, most)

    async def indebted(self, since: datetime, most: int) -> Sequence[Generation]:
        changed = {"changed_at": {"$lte": to_micros(since)}}
        return await self._find(changed, {"outbox": {"$ne": []}}, {"changed_at": 1}, most)

    async def unsettled(self, conversation_id: str) -> Sequence[Generation]:
        return await self._find({"conversation_id": conversation_id}, {}, {"user_seq": 1, "created_at": 1})

    async def delete_of(self, conversation_id: str) -> None:
        """Some at a time, so that each call ends within its time; cut off, it goes on where it was."""
        while True:
            async with mongo_calls():
                some = self._generations.find({"conversation_id": conversation_id}, {"_id": 1}, limit=DELETED_AT_ONCE)
                found = [document["_id"] async for document in some]
                if not found:
                    return
                await self._generations.delete_many({"_id": {"$in": found}})

    async def _first(self, again: Generation) -> Generation:
        """What stands in the way of an insert: the first of that request, or the same document, inserted before."""
        found = None
        if again.request_id is not None:
            found = await self.find_request(again.conversation_id, again.request_id)
        found = found or await self.get(again.id)
        if found is None:
            raise Unavailable("its conversation is being deleted")
        return found

    async def _find(
        self, indexed: Document, also: Document, order: Mapping[str, int], most: int | None = None
    ) -> Sequence[Generation]:
        """Open ones. `indexed` is what an index answers, `also` is looked at in what that finds."""
        steps: list[dict[str, Any]] = [{"$match": {"open": True, **indexed}}, {"$match": also}, {"$sort": order}]
        async with mongo_calls():
            cursor = self._generations.aggregate(steps + ([{"$limit": most}] if most else []))
            return [to_generation(document) async for document in cursor]

    async def _change(self, generation_id: str, rule: Rule, now: datetime | None = None) -> Generation | None:
        """The document as `rule` changes it, or None, with nothing written, when it is absent or the rule refuses."""
        version = new_id()
        for _ in range(TRIES):
            async with mongo_calls():
                document = await self._generations.find_one({"_id": generation_id})
                if document is None:
                    return None
                current = to_generation(document)
                if document["version"] == version:
                    return current
                changed = rule(current)
                if changed is None:
                    return None
                changed_at = document["changed_at"] if now is None else to_micros(now)
                if await self._swap(document, _document(changed, changed_at, version)):
                    return changed
        raise Unavailable("too many writers at once")

    async def _swap(self, old: Document, new: Document) -> bool:
        """Write what differs, if nobody wrote in between."""
        update: dict[str, Any] = {"$set": {name: value for name, value in new.items() if old.get(name) != value}}
        gone = {name: "" for name in old if name not in new}
        if gone:
            update["$unset"] = gone
        result = await self._generations.update_one({"_id": old["_id"], "version": old["version"]}, update)
        return result.matched_count == 1


def _document(generation: Generation, changed_at: int, version: str) -> Document:
    is_open = bool(generation.outbox) or not generation.state.terminal
    return {**from_generation(generation), "changed_at": changed_at, "open": is_open, "version": version}
