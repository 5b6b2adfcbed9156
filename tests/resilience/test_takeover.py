"""R3 and R6: a worker that leaves in the middle hands its answers on, and they continue where the stream stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.graphql import Json, events, open_http, text_of
from support.people import scripted, sign_up
from support.stage import MODEL, open_stage

TOKENS = 200
AT_ONCE = 4


async def test_answers_move_to_another_worker_without_a_seam(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage, open_http(stage.url) as http:
        ada = await sign_up(http)

        async def read(generation_id: str) -> list[Json]:
            return [event async for event in events("ws", http.url, ada.token, generation_id)]

        sent = [
            await ada.send(await ada.create(model=MODEL), "Go", parameters={"maxTokens": TOKENS})
            for _ in range(AT_ONCE)
        ]
        ids = [it["generation"]["id"] for it in sent]
        readings = [asyncio.create_task(read(generation_id)) for generation_id in ids]
        async with stage.worker():  # after the sends, so that all begin at once
            for generation_id in ids:
                await stage.watch(generation_id, lambda deltas: len(deltas) >= 3)
        async with stage.worker(), asyncio.timeout(15):
            seen = await asyncio.gather(*readings)
        for generation_id, told in zip(ids, seen, strict=True):
            assert text_of(told) == scripted(TOKENS)
            assert "GenerationRestarted" not in {event["__typename"] for event in told}
            assert {event["attempt"] for event in told if "attempt" in event} == {1, 2}
            assert (await ada.generation(generation_id))["attempt"] == 2
