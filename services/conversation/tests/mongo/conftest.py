"""A database of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pymongo
import pytest

from parley_conversation.adapters.mongo import Documents, open_documents
from parley_kit.ids import new_id
from parley_kit.mongo import Mongo, open_mongo


@pytest.fixture
async def db(mongo_url: str) -> AsyncIterator[Mongo]:
    async with open_mongo(mongo_url, f"conversation-{new_id()}") as db:
        yield db
        with pymongo.timeout(30):
            await db.client.drop_database(db.name)


@pytest.fixture
async def documents(mongo_url: str, db: Mongo) -> AsyncIterator[Documents]:
    async with open_documents(mongo_url, db.name) as documents:
        yield documents
