"""`parley run`: the platform from start to stop, and what its user sees of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from parley_kit import lifecycle
from parley_kit.clock import Clock, SystemClock
from parley_kit.health import Readiness
from parley_kit.logs import configure_logs, get_logger
from parley_kit.settings import prepare_data_dir
from parley_kit.telemetry import configure_telemetry
from parley_standalone.bootstrap import Platform, open_platform
from parley_standalone.settings import PlatformSettings

log = get_logger(__name__)

LOG_BYTES = 10 * 1024 * 1024
POLL_SECONDS, PATIENCE_SECONDS = 0.05, 10.0


def run(settings: PlatformSettings, console: Console) -> None:
    """Serve until a signal. Raises ConfigError before anything starts; later ones end the process with code 2.

    Logs go to a file when a person watches the terminal, else to stderr.
    """
    log_file = prepare_data_dir(settings.base.data_dir) / "logs" / "parley.log" if console.is_terminal else None
    configure_logs(settings.base.log_level, _open_log(log_file) if log_file else None)
    configure_telemetry("parley-standalone")
    readiness = Readiness()
    lifecycle.run(_announced(settings, SystemClock(), readiness, console, log_file), readiness)


def _open_log(path: Path) -> logging.Handler:
    path.parent.mkdir(exist_ok=True, mode=0o700)
    return RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=2)


@asynccontextmanager
async def _announced(
    settings: PlatformSettings, clock: Clock, readiness: Readiness, console: Console, log_file: Path | None
) -> AsyncIterator[Platform]:
    with console.status("Starting Parley") as status:
        async with open_platform(settings, clock, readiness) as platform:
            status.update(f"Waiting for {platform.model.name}")
            await _until_ready(readiness, clock)
            status.stop()
            console.print(_welcome(platform, settings, log_file), soft_wrap=True, highlight=False)
            yield platform
            status.update("Stopping Parley")
            status.start()
    console.print("Parley has stopped.")


async def _until_ready(readiness: Readiness, clock: Clock) -> None:
    """No timeout of its own: a signal gives the wait up. A wait that is long is explained in the log."""
    explain_at = clock.monotonic() + PATIENCE_SECONDS
    while not (report := await readiness.report())[0]:
        if clock.monotonic() >= explain_at:
            log.warning("not_ready_yet", parts=report[1])
            explain_at += PATIENCE_SECONDS
        await clock.sleep(POLL_SECONDS)


def _welcome(platform: Platform, settings: PlatformSettings, log_file: Path | None) -> str:
    address = f"{platform.url}/graphql"
    lines = {
        "Address": f"[link={address}]{address}[/link]",
        "Model": f"{platform.model.name}, {platform.model.context_length:,} tokens of context",
        "Data": escape(str(settings.base.data_dir.resolve())),
        **({"Logs": escape(str(log_file.resolve()))} if log_file else {}),
        "Try": "[bold]parley chat[/bold] in another terminal, or open the address in a browser",
        "Stop": "Ctrl-C",
    }
    shown = "\n".join(f"  {name:<9}{value}" for name, value in lines.items())
    return f"[bold green]Parley is ready[/bold green]\n{shown}"
