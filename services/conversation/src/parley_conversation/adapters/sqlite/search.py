"""The full-text index over titles and messages, on SQLite's FTS5 (https://www.sqlite.org/fts5.html).

Each word carries its owner's number, so what a search costs, and what it can find, is the owner's alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from parley_conversation.adapters.sqlite.deletion import ROWS
from parley_conversation.domain.words import terms_of, words_of

TITLE_SEQ = 0

_OWNER = "SELECT owner_id FROM conversations WHERE id = ?"
_ADD_NUMBER = "INSERT INTO word_owners (owner_id) VALUES (?) ON CONFLICT DO NOTHING"
_NUMBER = "SELECT number FROM word_owners WHERE owner_id = ?"
_ADD_ROW = "INSERT INTO word_rows (conversation_id, seq) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id"
_TITLE_ROW = "SELECT id FROM word_rows WHERE conversation_id = ? AND seq = ?"
_ROWS = "SELECT id FROM word_rows WHERE conversation_id = ? LIMIT ?"


def index_message(db: sqlite3.Connection, conversation_id: str, seq: int, text: str) -> None:
    """Once: a message never changes. Nothing for a conversation that is gone."""
    owner = db.execute(_OWNER, (conversation_id,)).fetchone()
    row = db.execute(_ADD_ROW, (conversation_id, seq)).fetchone() if owner is not None else None
    if row is not None:
        db.execute(_ADD_NUMBER, (owner["owner_id"],))
        number = _number(db, owner["owner_id"])
        db.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (row["id"], _owned(number, words_of(text))))


def index_title(db: sqlite3.Connection, conversation_id: str, title: str) -> None:
    """In place of the title before it."""
    _forget(db, db.execute(_TITLE_ROW, (conversation_id, TITLE_SEQ)))
    index_message(db, conversation_id, TITLE_SEQ, title)


def forget_some(db: sqlite3.Connection, conversation_id: str) -> int:
    """Drop the words of some messages of a conversation. 0: none were left."""
    return _forget(db, db.execute(_ROWS, (conversation_id, ROWS)))


def expressions(db: sqlite3.Connection, owner_id: str, text: str) -> list[str]:
    """A MATCH expression for each term of what a user typed; the last may be the beginning of a word.

    Words are letters and digits and are quoted, so nothing of it is ever FTS5 syntax. Empty when there is nothing to
    find.
    """
    number = _number(db, owner_id)
    terms = terms_of(text)
    if number is None or not terms:
        return []
    phrases = [f'"{_owned(number, term)}"' for term in terms]
    return [*phrases[:-1], phrases[-1] + " *"]


def _number(db: sqlite3.Connection, owner_id: str) -> int | None:
    row = db.execute(_NUMBER, (owner_id,)).fetchone()
    return None if row is None else row["number"]


def _owned(number: int | None, words: list[str]) -> str:
    return " ".join(f"{number}x{word}" for word in words)


def _forget(db: sqlite3.Connection, rows: Iterable[sqlite3.Row]) -> int:
    row_ids = [(row["id"],) for row in rows]
    db.executemany("DELETE FROM words WHERE rowid = ?", row_ids)
    db.executemany("DELETE FROM word_rows WHERE id = ?", row_ids)
    return len(row_ids)
