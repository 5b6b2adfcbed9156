"""Parley's engine with a clock around its kernels: what it computes, apart from all that it does around that."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from bench.engine.parts import timed_engine
from bench.engine.parts.ours import Ours, open_ours

from parley_worker.config import Dtype, EngineConfig
from parley_worker.engine.messages import write_config
from parley_worker.engine.process import EngineProcess


class Step(NamedTuple):
    """One call of the native decoder, draws included; `rounds`: how many tokens it brought each of its segments.

    begin and end by time.perf_counter, which is one clock for all processes.
    """

    segments: int
    rows: int
    begin: float
    end: float
    rounds: int


class TimedProcess(EngineProcess):
    """Starts the engine that keeps time."""

    @classmethod
    async def spawn(cls, config: EngineConfig) -> EngineProcess:
        ours, theirs = socket.socketpair()
        with theirs:
            command = (timed_engine.__file__, str(theirs.fileno()), str(os.getpid()), write_config(config))
            process = await asyncio.create_subprocess_exec(sys.executable, *command, pass_fds=[theirs.fileno()])
        return cls(process, *await asyncio.open_unix_connection(sock=ours))


@asynccontextmanager
async def open_timed(folder: Path, dtype: Dtype, steps: Path, **settings: Any) -> AsyncIterator[Ours]:
    """As `open_ours`. When the block is left the engine writes its steps to the file `steps`: see `read_steps`."""
    async with AsyncExitStack() as stack:
        timed = patch("parley_worker.engine.client.EngineProcess", TimedProcess)
        with timed, patch.dict(os.environ, {timed_engine.STEPS_FILE: str(steps)}):
            ours = await stack.enter_async_context(open_ours(folder, dtype, **settings))
        yield ours


def read_steps(file: Path) -> list[Step]:
    return [Step(*step) for step in json.loads(file.read_text())]
