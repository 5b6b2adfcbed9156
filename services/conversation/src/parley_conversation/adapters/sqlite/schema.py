"""The ordered migrations. Times are seconds since the epoch; documents within a row are JSON."""

from __future__ import annotations

MIGRATIONS = [
    """
CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    owner_id TEXT NOT NULL,
    title TEXT NOT NULL,
    model TEXT NOT NULL,
    system_prompt TEXT,
    archived INTEGER NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    last_seq INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX conversations_by_activity ON conversations (owner_id, archived, updated_at DESC, id DESC)
    WHERE deleted = 0;
CREATE INDEX conversations_deleted ON conversations (id) WHERE deleted = 1;

CREATE TABLE generations (
    id TEXT PRIMARY KEY,
    conversation_id TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    request_id TEXT,
    model TEXT NOT NULL,
    parameters TEXT NOT NULL,
    user_seq INTEGER NOT NULL,
    user_message_id TEXT NOT NULL,
    answer_seq INTEGER NOT NULL,
    answer_id TEXT NOT NULL,
    created_at REAL NOT NULL,
    deadline REAL NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    handed_back INTEGER NOT NULL,
    began_attempt INTEGER NOT NULL,
    worker_id TEXT,
    lease_until REAL,
    queued_at REAL,
    cancel_requested_at REAL,
    finished_at REAL,
    finish_reason TEXT,
    usage TEXT,
    failure TEXT,
    answer_stored INTEGER NOT NULL,
    outbox TEXT NOT NULL,
    changed_at REAL NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX generations_by_request ON generations (conversation_id, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX generations_of_conversation ON generations (conversation_id);
-- All that is alive, so it also serves the counts and the sweep.
CREATE INDEX generations_unsettled ON generations (conversation_id)
    WHERE state IN ('queued', 'running') OR outbox <> '[]';

CREATE TABLE messages (
    conversation_id TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    parent_seq INTEGER,
    parent_id TEXT,
    created_at REAL NOT NULL,
    generation_id TEXT,
    model TEXT,
    finish_reason TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    PRIMARY KEY (conversation_id, bucket, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX messages_by_id ON messages (id);
CREATE INDEX messages_by_parent ON messages (conversation_id, parent_seq, seq);

-- The words of titles (seq 0) and messages, each behind its owner's number.
CREATE VIRTUAL TABLE words USING fts5(text, tokenize = 'ascii', columnsize = 0);
CREATE TABLE word_rows (
    id INTEGER PRIMARY KEY,
    conversation_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    UNIQUE (conversation_id, seq)
);
CREATE TABLE word_owners (
    number INTEGER PRIMARY KEY,
    owner_id TEXT NOT NULL UNIQUE
);

CREATE TABLE models (
    name TEXT PRIMARY KEY,
    context_length INTEGER NOT NULL,
    seen_at REAL NOT NULL
) WITHOUT ROWID;
""",
]
