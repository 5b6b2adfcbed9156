"""Conversations, generations and models in MongoDB keep every promise of the ports."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from parley_conversation.adapters.mongo import Documents, open_documents
from parley_conversation.ports import Conversations, Generations, Models
from parley_conversation.testing.contract import ConversationsContract, GenerationsContract, ModelsContract
from parley_kit.ids import new_id
from parley_kit.mongo import open_mongo


@pytest.fixture
async def documents(mongo_url: str) -> AsyncIterator[Documents]:
    database = f"conversation-{new_id()}"
    async with open_documents(mongo_url, database) as documents:
        yield documents
    async with open_mongo(mongo_url, database) as db:
        await db.client.drop_database(database)


class TestMongoConversations(ConversationsContract):
    @pytest.fixture
    def conversations(self, documents: Documents) -> Conversations:
        return documents.conversations


class TestMongoGenerations(GenerationsContract):
    @pytest.fixture
    def generations(self, documents: Documents) -> Generations:
        return documents.generations


class TestMongoModels(ModelsContract):
    @pytest.fixture
    def models(self, documents: Documents) -> Models:
        return documents.models
