"""Checks of arguments at the door, before anybody is asked."""

from __future__ import annotations

from typing import TypeVar

import strawberry

from parley_kit.errors import BadInput
from parley_kit.ids import parse_id

MAX_PAGE = 200

T = TypeVar("T")


def given(value: T | None) -> T | None:
    """The value; None when it is null or was left out."""
    return None if value is strawberry.UNSET else value


def page_size(value: int | None, default: int, field: str) -> int:
    """The page size asked for. Raises BadInput outside of 1..200."""
    size = default if value is None else value
    if not 1 <= size <= MAX_PAGE:
        raise BadInput(f"{field} must be 1 to {MAX_PAGE}", field)
    return size


def optional_id(value: str | None, field: str) -> str | None:
    """The id, if there is one. Raises BadInput for what is none."""
    text = given(value)
    return None if text is None else parse_id(text, field)
