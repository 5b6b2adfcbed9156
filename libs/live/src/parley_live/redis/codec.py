"""Entries and positions as Redis holds them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from parley_kit.errors import BadInput
from parley_live.base import Delta, End, Entry

END = "null"

_POSITION = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_quote = json.JSONEncoder().encode
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Position:
    """After entry `index`, from 1, of the stream that began at `born`. What is before the first entry is 0-0."""

    born: int = 0
    index: int = 0

    @classmethod
    def parse(cls, text: str | bytes | None) -> Position:
        """Raises BadInput for what is no position."""
        if text is None:
            return cls()
        text = text.decode() if isinstance(text, bytes) else text
        if not _POSITION.fullmatch(text):
            raise BadInput("not a position of a stream", field="position")
        born, index = text.split("-")
        return cls(min(int(born), _LARGEST), min(int(index), _LARGEST))

    def __str__(self) -> str:
        return f"{self.born}-{self.index}"


def encode(delta: Delta) -> str:
    """One line of ASCII, so that any text survives, half a surrogate pair included."""
    token_ids = ",".join(map(str, delta.token_ids))
    return f"[{delta.attempt},{delta.began},{delta.offset},{_quote(delta.text)},[{token_ids}]]"


def decode(line: bytes) -> Delta | End:
    values = json.loads(line)
    if values is None:
        return End()
    attempt, began, offset, text, token_ids = values
    return Delta(attempt, began, offset, text, tuple(token_ids))


def entries(reply: list[tuple[bytes, list[bytes]]]) -> list[Entry]:
    """The reply of XRANGE."""
    return [Entry(position.decode(), decode(fields[1])) for position, fields in reply]


def pushed(message: bytes) -> tuple[Position, list[Delta | End]]:
    """What the scripts push: the position of the first entry, and the entries from it on."""
    first, *lines = message.split(b"\n")
    return Position.parse(first), [decode(line) for line in lines]
