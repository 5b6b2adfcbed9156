"""Every query of the chat log. All are prepared, and all are idempotent: asked twice they leave what once leaves.

Inserts take the time from their caller (see `codec.MirroredClock`); deletions take the driver's clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from parley_conversation.adapters.cassandra.codec import MESSAGE_COLUMNS


@dataclass(frozen=True, slots=True)
class Query:
    """`cql` leaves the keyspace open. `reads`: it may be asked of a second replica before the first has answered."""

    name: str
    cql: str
    reads: bool = False


_COLUMNS = ", ".join(MESSAGE_COLUMNS)
_BINDINGS = ", ".join("?" for _ in MESSAGE_COLUMNS)

PUT_MESSAGE = Query(
    "put_message",
    f"INSERT INTO {{keyspace}}.messages (conversation_id, bucket, {_COLUMNS}) "  # noqa: S608 - column names
    f"VALUES (?, ?, {_BINDINGS}) USING TIMESTAMP ?",
)
PUT_BUCKET = Query(
    "put_bucket", "INSERT INTO {keyspace}.buckets (conversation_id, bucket) VALUES (?, ?) USING TIMESTAMP ?"
)
PUT_PLACE = Query(
    "put_place", "INSERT INTO {keyspace}.places (message_id, conversation_id, seq) VALUES (?, ?, ?) USING TIMESTAMP ?"
)
PUT_CHILD = Query(
    "put_child",
    "INSERT INTO {keyspace}.children (conversation_id, bucket, parent_seq, seq, message_id) "
    "VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?",
)

GET_PAGE = Query(
    "get_page",
    f"SELECT {_COLUMNS} FROM {{keyspace}}.messages "  # noqa: S608 - column names
    "WHERE conversation_id = ? AND bucket = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
    reads=True,
)
GET_MESSAGES = Query(
    "get_messages",
    f"SELECT {_COLUMNS} FROM {{keyspace}}.messages "  # noqa: S608 - column names
    "WHERE conversation_id = ? AND bucket = ? AND seq IN ?",
    reads=True,
)
GET_BUCKETS = Query(
    "get_buckets",
    "SELECT bucket FROM {keyspace}.buckets WHERE conversation_id = ? AND bucket <= ? LIMIT ?",
    reads=True,
)
GET_PLACE = Query("get_place", "SELECT conversation_id, seq FROM {keyspace}.places WHERE message_id = ?", reads=True)
GET_CHILDREN = Query(
    "get_children",
    "SELECT parent_seq, message_id FROM {keyspace}.children "
    "WHERE conversation_id = ? AND bucket = ? AND parent_seq IN ?",
    reads=True,
)
GET_IDS = Query(
    "get_ids", "SELECT seq, id FROM {keyspace}.messages WHERE conversation_id = ? AND bucket = ?", reads=True
)

DELETE_FROM = Query(
    "delete_from", "DELETE FROM {keyspace}.messages WHERE conversation_id = ? AND bucket = ? AND seq >= ?"
)
DELETE_MESSAGES = Query("delete_messages", "DELETE FROM {keyspace}.messages WHERE conversation_id = ? AND bucket = ?")
DELETE_CHILDREN = Query("delete_children", "DELETE FROM {keyspace}.children WHERE conversation_id = ? AND bucket = ?")
DELETE_PLACE = Query("delete_place", "DELETE FROM {keyspace}.places WHERE message_id = ?")
DELETE_BUCKET = Query("delete_bucket", "DELETE FROM {keyspace}.buckets WHERE conversation_id = ? AND bucket = ?")
DELETE_BUCKETS = Query("delete_buckets", "DELETE FROM {keyspace}.buckets WHERE conversation_id = ?")

QUERIES = (
    PUT_MESSAGE,
    PUT_BUCKET,
    PUT_PLACE,
    PUT_CHILD,
    GET_PAGE,
    GET_MESSAGES,
    GET_BUCKETS,
    GET_PLACE,
    GET_CHILDREN,
    GET_IDS,
    DELETE_FROM,
    DELETE_MESSAGES,
    DELETE_CHILDREN,
    DELETE_PLACE,
    DELETE_BUCKET,
    DELETE_BUCKETS,
)
