"""Whether the server answers: asked now and then, and at once when an answer failed."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

from parley_kit.logs import get_logger
from parley_worker.backends.openai.refusals import Failure, Refusal
from parley_worker.backends.openai.server import Server

log = get_logger(__name__)

PROBE_SECONDS = 10.0
AWAY_SECONDS = 1.0


class ServerHealth:
    """`ready` is what the last probe, or the last failed answer, said."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._suspected = asyncio.Event()
        self.ready = True

    def suspect(self, failure: Failure) -> None:
        """An answer failed: not ready until a probe has succeeded."""
        if not isinstance(failure, Refusal) or failure.status != 429:  # a busy server is not away
            self._change(False, failure)
            self._suspected.set()

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS if self.ready else random.uniform(0, AWAY_SECONDS)):
                    await self._suspected.wait()
            self._suspected.clear()
            await self._probe()

    async def _probe(self) -> None:
        try:
            await self._server.list_models()
        except Failure as failure:
            self._change(False, failure)
        else:
            self._change(True)

    def _change(self, ready: bool, failure: Failure | None = None) -> None:
        if ready != self.ready:
            log.warning("model_server", ready=ready, reason=str(failure) if failure else None)
        self.ready = ready
