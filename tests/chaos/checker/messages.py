"""R1: an acknowledged message is never lost and is stored once, whoever asked how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from chaos.history import Final, History, Send


def check(history: History) -> Iterator[str]:
    finals: dict[str, list[Final]] = {}
    for final in history.finals:
        finals.setdefault(final.conversation, []).append(final)
    for send in history.sends.values():
        yield from _acknowledged_once(send)
        yield from _stored(send, finals.get(send.conversation, []))
    uses = Counter(generation for generation, _ in history.generations())
    yield from (f"R1 generation {it} answers {count} requests" for it, count in uses.items() if count > 1)
    for final in history.finals:
        yield from _nothing_else(final, history)
    for conversation, views in finals.items():
        if any(list(view.messages) != list(views[0].messages) for view in views):
            yield f"R1 conversation {conversation} differs between gateways"


def _acknowledged_once(send: Send) -> Iterator[str]:
    if not send.acknowledged:
        yield f"R8 request {send.request} was never acknowledged"
    answers = {(it.message, it.generation) for it in send.acknowledged}
    if len(answers) > 1:
        yield f"R1 request {send.request} was acknowledged as {sorted(answers)}"


def _stored(send: Send, finals: list[Final]) -> Iterator[str]:
    """Not acknowledged: stored at most once. Acknowledged: once, under its name, and so is its answer at most."""
    if send.acknowledged and not finals:
        yield f"R1 conversation {send.conversation} is gone, and with it request {send.request}"
    for final in finals:
        stored = [it["id"] for it in final.messages if it["role"] == "USER" and it["content"] == send.content]
        if send.acknowledged and stored != [send.acknowledged[0].message]:
            yield f"R1 request {send.request} was acknowledged as {send.acknowledged[0].message}, is stored as {stored}"
        elif len(stored) > 1:
            yield f"R1 request {send.request} is stored as {stored}"
        for generation in {it.generation for it in send.acknowledged}:
            answers = final.answers(generation)
            if len(answers) > 1:
                yield f"R1 generation {generation} has {len(answers)} answers"
            if any(it["parent"] != send.acknowledged[0].message for it in answers):
                yield f"R1 generation {generation} answers another message than {send.acknowledged[0].message}"


def _nothing_else(final: Final, history: History) -> Iterator[str]:
    """What nobody sent is not there either."""
    sent = {send.content for send in history.sends.values() if send.conversation == final.conversation}
    for message in final.messages:
        if message["role"] == "USER" and message["content"] not in sent:
            yield f"R1 message {message['id']} in {final.conversation} was never sent"
