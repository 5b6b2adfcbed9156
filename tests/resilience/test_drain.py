"""R6: SIGTERM in the middle of answers loses nothing."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from chaos.auditor import Auditor
from chaos.caller import Caller
from chaos.checker import violations
from chaos.exchange import Exchange
from chaos.record import open_record
from support.graphql import open_http
from support.people import sign_up
from support.platform import SCRIPTED, free_port, group_members, start_platform

SLOW = {**SCRIPTED, "PARLEY_SCRIPTED_INTERVAL_MS": "50"}
TOKENS = 300
"""For 15 s: nobody is done when all four are being answered."""


async def test_a_drained_platform_exits_with_0_and_the_answers_go_on_after_the_next_start(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    with open_record(tmp_path / "history.jsonl") as recorder:
        async with open_http(f"http://127.0.0.1:{port}") as http, asyncio.TaskGroup() as running:
            with start_platform(data, port=port, settings=SLOW) as platform:
                ada = await sign_up(http)
                caller = Caller([http], ada.token, recorder, random.Random(1))
                conversations = [await ada.create() for _ in range(4)]
                exchanges = [
                    Exchange(caller, f"client-{own}", own, f"message {own}", TOKENS, transport)
                    for own, transport in zip(conversations, ["ws", "sse"] * 2, strict=True)
                ]
                for exchange in exchanges:
                    running.create_task(exchange.run())
                await asyncio.gather(*(exchange.reads.wait() for exchange in exchanges))
                recorder.record("nemesis", "invoke", "fault", kind="terminate", target="platform")
                assert await asyncio.to_thread(platform.stop) == 0, platform.tail()
                recorder.record("nemesis", "ok", "fault", kind="terminate", target="platform")
                assert group_members(platform.process.pid) == []
                assert not any(exchange.done.is_set() for exchange in exchanges)
            with start_platform(data, port=port, ready=False) as platform:
                async with asyncio.timeout(40):
                    await asyncio.gather(*(exchange.done.wait() for exchange in exchanges))
                await Auditor(caller).look({it.conversation: [it.generation] for it in exchanges if it.generation})
    assert violations(recorder.operations) == []
    finals = [it.value for it in recorder.operations if it.f == "final" and it.type == "ok"]
    assert [state["state"] for final in finals for state in final["generations"].values()] == ["COMPLETED"] * 4
