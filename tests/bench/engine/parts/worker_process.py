"""The worker as it is deployed, a process of its own on real servers: Kafka and Redis, started for the bench."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from support.platform import environment
from support.usage import children

from parley_local import servers
from parley_local.child import ServerProcess, run_server
from parley_local.ports import Ports
from parley_local.program import NotReady
from parley_local.services import Service

START_SECONDS, POLL_SECONDS, STOP_SECONDS = 60.0, 0.1, 10


def start_servers(folder: Path, stack: ExitStack) -> tuple[ServerProcess, ServerProcess]:
    """Kafka and Redis, until the stack is closed. Blocks until they answer."""
    kafka, redis = (
        stack.enter_context(run_server(server, folder / f"{server.name}.log"))
        for server in (servers.kafka(folder, Ports()), servers.redis(folder, Ports()))
    )
    return kafka, redis


@asynccontextmanager
async def open_worker_process(folder: Path, settings: Mapping[str, str]) -> AsyncIterator[dict[str, int]]:
    """`parley_worker` with these settings, ready. Yields the ids of its two processes by name."""
    port = Ports()("worker-health")
    variables = environment(PARLEY_HEALTH_PORT=str(port), PARLEY_LOG_LEVEL="warning", **settings)
    service = Service("worker", "parley_worker", port, variables, STOP_SECONDS)
    process = await asyncio.create_subprocess_exec(
        *service.program().command, env=variables, cwd=folder, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        await _until_ready(service, process)
        (engine,) = children(process.pid)
        yield {"worker": process.pid, "its engine": engine}
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_ready(service: Service, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_SECONDS):
        while process.returncode is None:
            try:
                return await asyncio.to_thread(service.check)
            except NotReady:
                await asyncio.sleep(POLL_SECONDS)
    raise RuntimeError(f"the worker ended with {process.returncode}")
