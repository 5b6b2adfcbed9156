"""The collections: their shape, which the server holds them to, and their indexes.

Migrations are in order and never changed once released. What is absent is left out, never null. Times are BSON dates,
of milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from parley_kit.mongo import Migration, Mongo, define_collection

USER = {
    "_id": {"bsonType": "string"},
    "email": {"bsonType": "string"},
    "display_name": {"bsonType": "string"},
    "password_hash": {"bsonType": "string"},
    "created_at": {"bsonType": "date"},
}
FAMILY = {
    "_id": {"bsonType": "string"},
    "user_id": {"bsonType": "string"},
    "started_at": {"bsonType": "date"},
    "ended_at": {"bsonType": "date"},
}
TOKEN = {
    "_id": {"bsonType": "binData"},
    "family_id": {"bsonType": "string"},
    "parent": {"bsonType": "binData"},
    "expires_at": {"bsonType": "date"},
    "first_used_at": {"bsonType": "date"},
    "spent": {"bsonType": "bool"},
}


async def _users(db: Mongo) -> None:
    await _collection(db, "users", USER)
    await db.users.create_index("email", name="by_email", unique=True)


async def _refresh_families(db: Mongo) -> None:
    await _collection(db, "refresh_families", FAMILY, optional={"ended_at"})
    await db.refresh_families.create_index("user_id", name="by_user")
    ended = {"ended_at": {"$exists": True}}
    await db.refresh_families.create_index("ended_at", name="by_end", partialFilterExpression=ended)


async def _refresh_tokens(db: Mongo) -> None:
    await _collection(db, "refresh_tokens", TOKEN, optional={"parent", "first_used_at"})
    await db.refresh_tokens.create_index([("family_id", 1), ("expires_at", 1)], name="by_family")
    await db.refresh_tokens.create_index("expires_at", name="by_expiry")


MIGRATIONS = (
    Migration("0001-users", _users),
    Migration("0002-refresh-families", _refresh_families),
    Migration("0003-refresh-tokens", _refresh_tokens),
)


async def _collection(db: Mongo, name: str, fields: Mapping[str, Any], optional: Set[str] = frozenset()) -> None:
    """A collection of documents with these fields and no others."""
    required = [field for field in fields if field not in optional]
    await define_collection(db, name, {"required": required, "properties": fields, "additionalProperties": False})
