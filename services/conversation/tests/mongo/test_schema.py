"""Migrations, validators, and an index for each query of the hot paths."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from parley_conversation.adapters.mongo import Documents
from parley_conversation.adapters.mongo.conversations import MongoConversations
from parley_conversation.adapters.mongo.generations import MongoGenerations
from parley_conversation.adapters.mongo.schema import MIGRATIONS
from parley_conversation.domain.generation import EndStream
from parley_conversation.ports import ConversationQuery
from parley_conversation.testing.harness import after, conversation, generation, message, outcome
from parley_kit.ids import new_id
from parley_kit.mongo import Document, Mongo, migrate

INVALID = 121


async def test_the_schema_is_made_once_by_many(db: Mongo) -> None:
    await asyncio.gather(*(migrate(db, MIGRATIONS) for _ in range(4)))
    before = await db.generations.index_information()
    for migration in MIGRATIONS:
        await migration.apply(db)
    assert await db.generations.index_information() == before
    assert before["by_request"]["unique"]


@pytest.mark.parametrize(
    ("collection", "change"),
    [
        ("generations", {"$set": {"state": "asleep"}}),
        ("generations", {"$set": {"deadline": "tomorrow"}}),
        ("generations", {"$unset": {"attempt": ""}}),
        ("generations", {"$push": {"outbox": {"id": "x"}}}),
        ("conversations", {"$set": {"archived": 1}}),
        ("conversations", {"$unset": {"owner_id": ""}}),
    ],
)
async def test_the_server_refuses_what_is_no_document_of_ours(
    db: Mongo, documents: Documents, collection: str, change: Document
) -> None:
    """The validators hold for every writer. Both servers enforce them."""
    await documents.conversations.insert(conversation())
    await documents.generations.insert(generation())
    with pytest.raises(OperationFailure) as refused:
        await db[collection].update_one({}, change)
    assert refused.value.code == INVALID


class Commands(CommandListener):
    """The filters of what was asked, by collection."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Document]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.asked += [(event.command[event.command_name], it) for it in _filters(event.command_name, event.command)]

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def _filters(name: str, command: Mapping[str, Any]) -> Iterator[Document]:
    match name:
        case "find":
            yield command["filter"]
        case "findAndModify":
            yield command["query"]
        case "update":
            yield from (update["q"] for update in command["updates"])
        case "delete":
            yield from (delete["q"] for delete in command["deletes"])
        case "aggregate":
            yield command["pipeline"][0]["$match"]


Call = Callable[[MongoConversations, MongoGenerations], Awaitable[object]]
ON_EVERY_SERVER: dict[str, Call] = {
    "get": lambda c, g: g.get("g-7"),
    "get_many": lambda c, g: g.get_many(["g-7", "g-8"]),
    "find_request": lambda c, g: g.find_request("chat", "r-7"),
    "claim": lambda c, g: g.claim("g-1", "worker", after(1), after(7)),
    "renew": lambda c, g: g.renew("worker", {"g-1": 1, "g-2": 1}, after(7)),
    "settle": lambda c, g: g.settle("g-1", ["x"]),
    "finish": lambda c, g: g.finish("g-1", 0, outcome()),
    "active": lambda c, g: g.active("owner"),
    "overdue": lambda c, g: g.overdue(after(900), after(900), after(900), 10),
    "indebted": lambda c, g: g.indebted(after(900), 10),
    "unsettled": lambda c, g: g.unsettled("chat"),
    "delete_of": lambda c, g: g.delete_of("chat-1"),
    "conversation": lambda c, g: c.get("c-1"),
    "listing": lambda c, g: c.find(ConversationQuery("owner", False, 10)),
    "next page": lambda c, g: c.find(ConversationQuery("owner", False, 10, after=(after(9), "c-9"))),
    "reserve": lambda c, g: c.reserve("c-1", 2, after(1)),
    "entitle": lambda c, g: c.entitle("c-1", "title"),
    "delete": lambda c, g: c.delete("c-1"),
    "purgeable": lambda c, g: c.purgeable(10),
    "purged": lambda c, g: c.purged("gone"),
    "index": lambda c, g: c.index(message("c-1", 5)),
}
ON_MONGOD: dict[str, Call] = {
    "search": lambda c, g: c.find(ConversationQuery("owner", False, 10, search="zebra e-mail begin")),
}


@pytest.fixture
async def asked(mongo_url: str, db: Mongo, documents: Documents) -> Callable[[Call], Awaitable[list[str]]]:
    """Makes a call on a database with documents in it; gives the stages of the plans of all that it asked."""
    await asyncio.gather(
        *(documents.conversations.insert(conversation("owner", "zebra", at=at)) for at in range(12)),
        *(documents.generations.insert(generation("chat", EndStream(new_id()), id=f"g-{n}")) for n in range(4)),
        documents.conversations.insert(replace(conversation("owner"), id="c-1")),
    )

    async def plans(call: Call) -> list[str]:
        commands = Commands()
        client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(mongo_url, event_listeners=[commands])
        try:
            watched = client.get_database(db.name)
            await call(MongoConversations(watched), MongoGenerations(watched))
        finally:
            client.close()
        return [stage for name, asked in commands.asked for stage in await _stages(db, name, asked)]

    return plans


async def _stages(db: Mongo, collection: str, asked: Document) -> list[str]:
    answer = await db.command("explain", {"find": collection, "filter": asked})
    return [f"{collection}:{stage}" for stage in _walk(answer["queryPlanner"]["winningPlan"])]


def _walk(plan: Mapping[str, Any]) -> Iterator[str]:
    yield plan["stage"]
    for below in [plan[key] for key in ("inputStage", "queryPlan") if key in plan] + list(plan.get("inputStages", [])):
        yield from _walk(below)


@pytest.mark.parametrize("call", ON_EVERY_SERVER.values(), ids=ON_EVERY_SERVER.keys())
async def test_no_query_looks_at_every_document(asked: Callable[[Call], Awaitable[list[str]]], call: Call) -> None:
    """`deletions` holds nothing but what is to be purged, and is read from its beginning."""
    stages = await asked(call)
    assert stages
    assert [it for it in stages if it.endswith(":COLLSCAN") and it != "deletions:COLLSCAN"] == []


async def test_search_uses_its_index_where_the_server_can(
    asked: Callable[[Call], Awaitable[list[str]]], db: Mongo
) -> None:
    """SecantusDB answers a whole word by the index, and not the beginning of one; MongoDB answers both."""
    stages = await asked(ON_MONGOD["search"])
    secantus = "secantusVersion" in await db.client.server_info()
    assert "texts:IXSCAN" in stages
    assert ("texts:COLLSCAN" in stages) is secantus
