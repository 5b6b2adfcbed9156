"""Fields with a description, typed: strawberry's own decorator with arguments is Any to type checkers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., object])


def described(kind: Callable[..., Any], description: str) -> Callable[[F], Any]:
    """The decorator `kind` (strawberry.field, .mutation or .subscription) with this description in the SDL."""
    decorate: Callable[[F], Any] = kind(description=description)
    return decorate
