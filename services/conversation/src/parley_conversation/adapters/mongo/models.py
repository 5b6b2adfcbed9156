"""Which models workers announced, in MongoDB."""

from __future__ import annotations

from collections.abc import Sequence

from pymongo.errors import DuplicateKeyError

from parley_conversation.adapters.mongo.codec import to_instant, to_micros
from parley_conversation.ports import ServedModel
from parley_kit.mongo import Mongo, mongo_calls


class MongoModels:
    def __init__(self, db: Mongo) -> None:
        self._models = db.models

    async def announce(self, model: ServedModel) -> None:
        seen_at = to_micros(model.seen_at)
        older = {"_id": model.name, "seen_at": {"$lt": seen_at}}
        values = {"context_length": model.context_length, "seen_at": seen_at}
        async with mongo_calls():
            try:
                await self._models.update_one(older, {"$set": values}, upsert=True)
            except DuplicateKeyError:
                return  # there is a newer heartbeat

    async def served(self) -> Sequence[ServedModel]:
        async with mongo_calls():
            found = await self._models.find({}).to_list()
        return [ServedModel(it["_id"], it["context_length"], to_instant(it["seen_at"])) for it in found]
