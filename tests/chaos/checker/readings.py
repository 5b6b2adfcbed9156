"""R3: gap-free, duplicate-free text or an explicit restart, then one end. R4: nothing of a fenced-off attempt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chaos.history import Connection, History, Reading, Send
from chaos.operation import Json


class Broken(Exception):
    """The first thing wrong with a reading; what follows it proves nothing."""


@dataclass
class Reader:
    """What one who reads holds, and the newest attempt heard of."""

    held: str = ""
    attempt: int = 0
    done: bool = False

    def connect(self, connection: Connection) -> None:
        if connection.after != len(self.held):
            raise Broken(f"R3 asked to go on after {connection.after} when {len(self.held)} were held")
        for event in connection.events:
            self.hear(event)

    def hear(self, event: Json) -> None:
        if self.done:
            raise Broken("R3 something came after the end")
        if "finished" in event:
            self.done = True
            return
        attempt = event["restarted"] if "restarted" in event else event["attempt"]
        if attempt < self.attempt:
            raise Broken(f"R4 attempt {attempt} wrote after attempt {self.attempt} had begun")
        self.attempt = attempt
        if "restarted" in event:
            self.held = ""
        elif event["offset"] != len(self.held) or not event["text"]:
            raise Broken(f"R3 {event['text']!r} at {event['offset']} when {len(self.held)} were held")
        else:
            self.held += event["text"]


def check(history: History) -> Iterator[str]:
    sends = dict(history.generations())
    for reading in history.readings.values():
        where = f"(generation {reading.generation}, reader {reading.process})"
        try:
            _check(history, reading, sends.get(reading.generation))
        except Broken as broken:
            yield f"{broken} {where}"


def _check(history: History, reading: Reading, send: Send | None) -> None:
    reader = Reader()
    for connection in reading.connections:
        reader.connect(connection)
        if send is not None:
            _restarts_have_a_cause(history, connection, send)
    if not reader.done:
        raise Broken("R3 the end was never told")
    if send is not None and not scripted(send.tokens).startswith(reader.held):
        raise Broken(f"R3 read another text than the model's: ...{reader.held[-40:]!r}")
    _as_stored(history, reading, reader.held, send)


def _restarts_have_a_cause(history: History, connection: Connection, send: Send) -> None:
    """An answer goes on at the exact token whatever dies; only the loss of the hot state begins it anew."""
    if any("restarted" in event for event in connection.events) and not any(
        fault.loses_streams and fault.overlaps(send.invoked, connection.time) for fault in history.faults
    ):
        raise Broken("R3 the text began anew though its stream was never lost")


def _as_stored(history: History, reading: Reading, held: str, send: Send | None) -> None:
    """The end's message is the one in the store, and what was read; all of it when the answer is complete."""
    end = reading.ends[0]
    told = [] if end["message"] is None else [end["message"]]
    for final in history.finals:
        if reading.generation in final.generations:
            stored = [{"id": it["id"], "content": it["content"]} for it in final.answers(reading.generation)]
            if told != stored:
                raise Broken(f"R3 the end tells {told} and the store holds {stored}")
    text = "".join(message["content"] for message in told)
    if text != held:
        raise Broken(f"R3 read ...{held[-40:]!r}, ended as ...{text[-40:]!r}")
    if send is not None and end["state"] == "COMPLETED" and text != scripted(send.tokens):
        raise Broken(f"R3 complete without all of its {send.tokens} tokens: ...{text[-40:]!r}")


def scripted(tokens: int) -> str:
    """What the scripted backend answers."""
    return "".join(f"w{number} " for number in range(tokens))
