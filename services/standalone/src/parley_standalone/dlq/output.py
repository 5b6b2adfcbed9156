"""Dead letters for people and, as JSON, for programs. Whatever is in a letter, it can be shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import Error as JsonError
from google.protobuf.json_format import MessageToDict
from rich.table import Table
from rich.text import Text

from parley_bus.events import from_record
from parley_bus.kafka import Letter, Pile
from parley_kit.errors import BadInput
from parley_standalone.output import PatientConsole


def print_piles(piles: Sequence[Pile], as_json: bool) -> None:
    if as_json:
        _print_json([_pile(pile) for pile in piles])
        return
    rows = [(it.topic, str(it.count), _time(it.newest), _header(it.newest, "reason")) for it in piles]
    _print_table(("topic", "letters", "newest", "reason"), rows, "no dead letters")


def print_letters(letters: Sequence[Letter], as_json: bool) -> None:
    if as_json:
        _print_json([_summary(letter) for letter in letters])
        return
    rows = [(_place(it), _time(it), _header(it, "error"), _header(it, "reason")) for it in letters]
    _print_table(("place", "time", "error", "reason"), rows, "no dead letters")


def print_letter(letter: Letter, as_json: bool) -> None:
    whole = {**_summary(letter), "key": letter.delivery.record.key, "headers": dict(letter.delivery.record.headers)}
    whole["value"] = _value(letter)
    if as_json:
        _print_json(whole)
    else:
        PatientConsole(soft_wrap=True).print(Text(_json(whole, indent=2)))


def print_replayed(topic: str, count: int, as_json: bool) -> None:
    if as_json:
        _print_json({"topic": topic, "replayed": count})
    else:
        PatientConsole(soft_wrap=True).print(Text(f"{count} sent again"))


def _pile(pile: Pile) -> dict[str, Any]:
    return {"topic": pile.topic, "letters": pile.count, "newest": _summary(pile.newest)}


def _summary(letter: Letter) -> dict[str, Any]:
    return {
        "topic": letter.delivery.record.topic,
        "place": _place(letter),
        "time": _time(letter),
        "error": _header(letter, "error"),
        "reason": _header(letter, "reason"),
        "from": f"{_header(letter, 'topic')} {_header(letter, 'partition')}:{_header(letter, 'offset')}",
    }


def _value(letter: Letter) -> dict[str, Any]:
    """The event, or else the bytes in base64 and what they would be as text."""
    raw = letter.delivery.record.value
    try:
        event = from_record(letter.delivery.record)
        return {event.DESCRIPTOR.name: MessageToDict(event)}
    except (BadInput, JsonError) as error:
        return {
            "undecodable": str(error),
            "base64": base64.b64encode(raw).decode(),
            "text": raw.decode(errors="replace"),
        }


def _place(letter: Letter) -> str:
    return f"{letter.delivery.partition}:{letter.delivery.offset}"


def _time(letter: Letter) -> str:
    return letter.time.isoformat(timespec="seconds")


def _header(letter: Letter, name: str) -> str:
    return letter.delivery.record.headers.get(f"dlq_{name}", "")


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
    """As text, never as markup: what is in a letter was written by anybody."""
    console = PatientConsole(soft_wrap=True)
    if not rows:
        console.print(nothing)
        return
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*(Text(_printable(cell)) for cell in row))
    console.print(table)


def _print_json(value: object) -> None:
    PatientConsole(soft_wrap=True).print(Text(_json(value)))


def _json(value: object, indent: int | None = None) -> str:
    """Escaped to ASCII: bytes that are no text are in it as lone surrogates."""
    return json.dumps(value, indent=indent)


def _printable(text: str) -> str:
    """Without control characters, which a terminal would obey."""
    readable = text.encode("utf-8", "replace").decode()
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in readable)
