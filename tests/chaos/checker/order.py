"""Order: in a conversation, what was acknowledged before another was asked for is above it."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.history import Final, History, Send


def check(history: History) -> Iterator[str]:
    sends: dict[str, list[Send]] = {}
    for send in history.sends.values():
        if send.acknowledged:
            sends.setdefault(send.conversation, []).append(send)
    for final in history.finals:
        ids = [message["id"] for message in final.messages]
        if len(set(ids)) < len(ids):
            yield f"order: a message of {final.conversation} is listed twice"
        yield from _above(final, sends.get(final.conversation, []))


def _above(final: Final, sends: list[Send]) -> Iterator[str]:
    """Each message is below every one that was acknowledged before its first request."""
    parents = {message["id"]: message["parent"] for message in final.messages}
    for send in sends:
        above = set(_ancestry(parents, send.acknowledged[0].message))
        for earlier in sends:
            if earlier.acknowledged[0].time < send.invoked and earlier.acknowledged[0].message not in above:
                yield f"order: {send.request} was asked for after {earlier.request} and is not below it"


def _ancestry(parents: dict[str, str | None], message: str) -> Iterator[str]:
    seen = set[str]()
    parent = parents.get(message)
    while parent is not None and parent not in seen:
        seen.add(parent)
        yield parent
        parent = parents.get(parent)
