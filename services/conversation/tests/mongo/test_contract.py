"""Conversations, generations and models in MongoDB keep every promise of the ports."""

from __future__ import annotations

import pytest

from parley_conversation.adapters.mongo import Documents
from parley_conversation.ports import Conversations, Generations, Models
from parley_conversation.testing.contract import ConversationsContract, GenerationsContract, ModelsContract


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
