"""The last look: all that is stored, over every gateway, and what a stranger can find of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from chaos.caller import Caller, Refused
from chaos.exchange import read_to_the_end
from chaos.operation import Json

Look = Callable[..., Awaitable[Json]]

AT_ONCE = 4
PAGE = 200

GENERATION_FIELDS = "id state attempt createdAt finishedAt finishReason"
MESSAGE_FIELDS = f"id role content parentId siblingIds generation {{ {GENERATION_FIELDS} }}"
BRANCH = f"""
query ($id: ID!, $last: Int, $before: String) {{
  conversation(id: $id) {{
    messages(last: $last, before: $before) {{
      edges {{ node {{ {MESSAGE_FIELDS} }} }} pageInfo {{ hasPreviousPage startCursor }}
    }}
  }}
}}
"""
MESSAGE = f"query ($id: ID!) {{ node(id: $id) {{ ... on Message {{ {MESSAGE_FIELDS} }} }} }}"
GENERATION = f"query ($id: ID!) {{ generation(id: $id) {{ {GENERATION_FIELDS} }} }}"
PRY = "query ($id: ID!) { node(id: $id) { id } }"


class Auditor:
    """Reads over one gateway after another, each as if it were the only one."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._few = asyncio.Semaphore(AT_ONCE)

    async def look(self, generations: dict[str, list[str]]) -> None:
        """Record a `final` of each conversation (key), its generations included, as every gateway has it."""
        async with asyncio.TaskGroup() as tasks:
            for gateway, http in enumerate(self._caller.gateways):
                caller = replace(self._caller, gateways=[http])
                for conversation, ids in generations.items():
                    tasks.create_task(self._on_record(self._final(caller, gateway, conversation, ids)))

    async def read_again(self, generations: Iterable[str]) -> None:
        """Each answer, now that it is long finished."""
        async with asyncio.TaskGroup() as tasks:
            for number, generation in enumerate(generations):
                reading = read_to_the_end(self._caller, f"auditor-{number}", generation, "sse" if number % 2 else "ws")
                tasks.create_task(self._on_record(reading))

    async def pry(self, stranger: Caller, ids: Iterable[str]) -> None:
        """Ask for what is not the stranger's."""
        for each in ids:
            data = await stranger.insist("stranger", "pry", PRY, {"id": each}, id=each)
            stranger.recorder.record("stranger", "ok", "pry", id=each, found=data["node"] is not None)

    async def _on_record(self, look: Awaitable[None]) -> None:
        """A few at a time. What is refused is on record, for the checker to judge."""
        async with self._few:
            with suppress(Refused):
                await look

    async def _final(self, caller: Caller, gateway: int, conversation: str, ids: list[str]) -> None:
        look = partial(caller.insist, f"auditor/{gateway}", "final", conversation=conversation)
        nodes = await _nodes(look, conversation)
        states = {node["generation"]["id"]: _state(node["generation"]) for node in nodes if node["generation"]}
        for each in set(ids) - set(states):
            if (found := (await look(GENERATION, {"id": each}))["generation"]) is not None:
                states[each] = _state(found)
        told = {"messages": [_message(node) for node in nodes], "generations": states}
        value = {"conversation": conversation, "gateway": gateway, **told}
        caller.recorder.record(f"auditor/{gateway}", "ok", "final", **value)


async def _nodes(look: Look, conversation: str) -> list[Json]:
    """Every message of the branch and, to find doubles, every sibling of one; oldest first."""
    nodes = [node async for page in _pages(look, conversation) for node in page]
    listed = {node["id"] for node in nodes}
    siblings = dict.fromkeys(it for node in nodes for it in node["siblingIds"] if it not in listed)
    return [*nodes, *[(await look(MESSAGE, {"id": it}))["node"] for it in siblings]]


async def _pages(look: Look, conversation: str) -> AsyncIterator[list[Json]]:
    before = None
    while True:
        found = (await look(BRANCH, {"id": conversation, "last": PAGE, "before": before}))["conversation"]
        if found is None:
            return
        page = found["messages"]
        yield [edge["node"] for edge in page["edges"]]
        if not page["pageInfo"]["hasPreviousPage"]:
            return
        before = page["pageInfo"]["startCursor"]


def _message(node: Json) -> Json:
    fields = {"id": node["id"], "role": node["role"], "content": node["content"], "parent": node["parentId"]}
    return {**fields, "generation": node["generation"] and node["generation"]["id"]}


def _state(found: Json) -> Json:
    times = {"created": found["createdAt"], "finished": found["finishedAt"]}
    return {"state": found["state"], "attempt": found["attempt"], "reason": found["finishReason"], **times}
