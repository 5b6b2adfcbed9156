"""The collections, their validators and indexes, by ordered migrations.

conversations   by id, each with its title's words
deletions       the ids of conversations that are deleted and not yet purged
generations     by id; those that are `open` (not terminal, or owing something) are few and have indexes of their own
texts           a document for each message, with its distinct words: what search looks through
models          by name
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from parley_conversation.domain.generation import State
from parley_kit.mongo import Document, Migration, Mongo, define_collection

TEXT, FLAG, WHOLE, TIME = (
    {"bsonType": "string"},
    {"bsonType": "bool"},
    {"bsonType": ["int", "long"]},
    {"bsonType": "long"},
)
WORDS = {"bsonType": "array", "items": TEXT}
OPEN = {"open": True}

CONVERSATIONS = {
    "_id": TEXT,
    "owner_id": TEXT,
    "title": TEXT,
    "title_text": TEXT,
    "title_words": WORDS,
    "model": TEXT,
    "archived": FLAG,
    "created_at": TIME,
    "updated_at": TIME,
    "last_seq": WHOLE,
}
DEBT = {"bsonType": "object", "required": ["kind", "id"], "properties": {"kind": TEXT, "id": TEXT}}
GENERATIONS = {
    "_id": TEXT,
    "conversation_id": TEXT,
    "owner_id": TEXT,
    "model": TEXT,
    "parameters": {"bsonType": "object"},
    "user_seq": WHOLE,
    "user_message_id": TEXT,
    "answer_seq": WHOLE,
    "answer_id": TEXT,
    "created_at": TIME,
    "deadline": TIME,
    "state": {"enum": [str(state) for state in State]},
    "attempt": WHOLE,
    "handed_back": WHOLE,
    "began_attempt": WHOLE,
    "answer_stored": FLAG,
    "outbox": {"bsonType": "array", "items": DEBT},
    "changed_at": TIME,
    "open": FLAG,
    "version": TEXT,
}
TEXTS = {"_id": TEXT, "conversation_id": TEXT, "owner_id": TEXT, "text": TEXT, "words": WORDS}
MODELS = {"_id": TEXT, "context_length": WHOLE, "seen_at": TIME}


def _index(name: str, *keys: str, **options: Any) -> IndexModel:
    """Ascending by each of the keys; descending by those that begin with a minus."""
    directions = [(key.lstrip("-"), DESCENDING if key.startswith("-") else ASCENDING) for key in keys]
    return IndexModel(directions, name=name, **options)


async def _define(db: Mongo, name: str, required: Document, indexes: Sequence[IndexModel]) -> None:
    """The collection as it is to be, whether or not it is there: fields that it must have, others may be there."""
    await define_collection(db, name, {"required": sorted(required), "properties": required})
    if indexes:
        await db[name].create_indexes(indexes)


async def _conversations(db: Mongo) -> None:
    listing = _index("by_activity", "owner_id", "archived", "-updated_at", "-_id")
    await _define(db, "conversations", CONVERSATIONS, [listing, _index("by_title_word", "owner_id", "title_words")])
    await _define(db, "deletions", {"_id": TEXT}, [])


async def _generations(db: Mongo) -> None:
    # A string that is there, said so that servers see that an equality implies it.
    once = {"request_id": {"$gte": ""}}
    indexes = [
        _index("by_request", "conversation_id", "request_id", unique=True, partialFilterExpression=once),
        _index("by_conversation", "conversation_id"),
        _index("open_by_conversation", "conversation_id", "user_seq", partialFilterExpression=OPEN),
        _index("open_by_state", "state", partialFilterExpression=OPEN),
        _index("open_by_change", "changed_at", partialFilterExpression=OPEN),
        # For servers that do not use `_id` beside another field: SecantusDB would look at every document.
        _index("by_version", "_id", "version"),
    ]
    await _define(db, "generations", GENERATIONS, indexes)


async def _texts(db: Mongo) -> None:
    indexes = [_index("by_word", "owner_id", "words"), _index("by_conversation", "conversation_id")]
    await _define(db, "texts", TEXTS, indexes)


async def _models(db: Mongo) -> None:
    await _define(db, "models", MODELS, [])


MIGRATIONS = (
    Migration("0001-conversations", _conversations),
    Migration("0002-generations", _generations),
    Migration("0003-texts", _texts),
    Migration("0004-models", _models),
)
