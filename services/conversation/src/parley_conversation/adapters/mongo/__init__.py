"""Cluster mode: conversations, generations and models in a MongoDB database. The chat log is another's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from parley_conversation.adapters.mongo.conversations import MongoConversations
from parley_conversation.adapters.mongo.generations import MongoGenerations
from parley_conversation.adapters.mongo.models import MongoModels
from parley_conversation.adapters.mongo.schema import MIGRATIONS
from parley_kit.mongo import migrate, open_mongo
from parley_kit.waiting import until_available


@dataclass(frozen=True, slots=True)
class Documents:
    """The stores that MongoDB holds."""

    conversations: MongoConversations
    generations: MongoGenerations
    models: MongoModels


@asynccontextmanager
async def open_documents(url: str, database: str) -> AsyncIterator[Documents]:
    """The stores in that database, made or migrated first. Waits until MongoDB answers.

    Raises ConfigError for what is no MongoDB URL.
    """
    async with open_mongo(url, database) as db:
        await until_available("mongodb", lambda: migrate(db, MIGRATIONS))
        yield Documents(MongoConversations(db), MongoGenerations(db), MongoModels(db))
