"""Ids: UUIDv7 (RFC 9562), so that they sort by the time they were made."""

from __future__ import annotations

import uuid

import uuid_utils

from parley_kit.errors import BadInput


def new_id() -> str:
    """A new id in its only accepted form: 36 characters, lower case."""
    return str(uuid_utils.uuid7())


def parse_id(text: str, field: str = "id") -> str:
    """`text` when it is an id, else BadInput. Any UUID passes: whether it exists is for the owner to say."""
    try:
        parsed = uuid.UUID(text)
    except ValueError:
        raise BadInput(f"{field} is not an id", field) from None
    if str(parsed) != text.lower():
        raise BadInput(f"{field} is not an id", field)
    return str(parsed)
