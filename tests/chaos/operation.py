"""Operations, as Jepsen records them: one JSON object a line, `invoke` when it begins, and how it ended.

type: `invoke`; `ok` (it took effect); `fail` (it did not); `info` (nobody knows; also what has no beginning).
f and value:
    setup  {deadline: seconds of a generation, grace: seconds}
    send   {request, conversation, content, tokens, gateway}           ok: + {message, generation}
    stop   {generation, gateway}
    read   {generation, gateway, transport, after, attempt}            ok (it ended) and info (cut): + {events}
    fault  {kind, target}                                              from its beginning to its healing
    final  {conversation, gateway}                                     ok: + {messages, generations}
    pry    {id, gateway}                                               a stranger's look; ok: + {found}
Each of `events` is {offset, text, attempt}, {restarted: attempt} or {finished: {...}}. time: seconds since the start.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

Json = dict[str, Any]
TYPES = {"invoke", "ok", "fail", "info"}


class BadHistory(ValueError):
    """A line that is no operation. The message names it."""


@dataclass(frozen=True, slots=True)
class Operation:
    time: float
    process: str
    type: str
    f: str
    value: Json


class Recorder:
    """Keeps a history, and writes it down as it grows: what was recorded is there also when the harness dies."""

    def __init__(self, now: Callable[[], float], file: TextIO | None = None) -> None:
        self.operations: list[Operation] = []
        self._now = now
        self._file = file

    def record(self, process: str, how: str, f: str, /, **value: Any) -> None:
        """`how` is the operation's type."""
        operation = Operation(round(self._now(), 4), process, how, f, value)
        self.operations.append(operation)
        if self._file is not None:
            self._file.write(to_line(operation))


def to_line(operation: Operation) -> str:
    fields = {name: getattr(operation, name) for name in ("time", "process", "type", "f", "value")}
    return json.dumps(fields, separators=(",", ":")) + "\n"


def read_history(path: Path) -> list[Operation]:
    """The operations of a file, in order. Raises BadHistory."""
    with path.open() as file:
        return list(parse(file))


def parse(lines: Iterable[str]) -> Iterator[Operation]:
    for number, line in enumerate(lines, 1):
        try:
            operation = Operation(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise BadHistory(f"line {number} is no operation: {error}") from error
        if operation.type not in TYPES or not isinstance(operation.value, dict):
            raise BadHistory(f"line {number} is no operation: type {operation.type!r}")
        yield operation
