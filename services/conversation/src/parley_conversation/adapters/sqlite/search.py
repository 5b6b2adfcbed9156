"""The full-text index over titles and messages: SQLite's FTS5 (https://www.sqlite.org/fts5.html)."""

from __future__ import annotations

import sqlite3

TITLE_SEQ = 0
FORGET_BATCH = 1000
MOST_WORDS = 16

_OWNER = "SELECT owner_id FROM conversations WHERE id = ?"
_ROW = """
INSERT INTO word_rows (conversation_id, seq) VALUES (?, ?)
ON CONFLICT DO UPDATE SET seq = excluded.seq RETURNING id
"""
_WORDS = "INSERT INTO words (rowid, owner, text, conversation_id) VALUES (?, ?, ?, ?)"


def index(db: sqlite3.Connection, conversation_id: str, seq: int, text: str) -> None:
    """Make the words of a message, or of the title, those of `text`. Nothing for a conversation that is gone."""
    owner = db.execute(_OWNER, (conversation_id,)).fetchone()
    if owner is None:
        return
    row_id = db.execute(_ROW, (conversation_id, seq)).fetchone()["id"]
    db.execute("DELETE FROM words WHERE rowid = ?", (row_id,))
    db.execute(_WORDS, (row_id, _as_word(owner["owner_id"]), text, conversation_id))


def forget_some(db: sqlite3.Connection, conversation_id: str) -> bool:
    """Drop some of the words of a conversation. False: none were left."""
    query = "SELECT id FROM word_rows WHERE conversation_id = ? LIMIT ?"
    rows = [(row["id"],) for row in db.execute(query, (conversation_id, FORGET_BATCH))]
    db.executemany("DELETE FROM words WHERE rowid = ?", rows)
    db.executemany("DELETE FROM word_rows WHERE id = ?", rows)
    return bool(rows)


def match_expressions(owner_id: str, text: str) -> list[str]:
    """A MATCH expression for each word of what a user typed; the last may be the beginning of a word.

    Quoting makes all of it text to FTS5, never syntax. Signs without a letter or digit are no words.
    """
    words = [word.replace('"', '""') for word in text.replace("\0", " ").split() if any(map(str.isalnum, word))]
    words = words[:MOST_WORDS]
    stars = ["*" if word is words[-1] else "" for word in words]
    owner = _as_word(owner_id)
    return [f'owner : "{owner}" AND text : "{word}"{star}' for word, star in zip(words, stars, strict=True)]


def _as_word(owner_id: str) -> str:
    return owner_id.replace("-", "")
