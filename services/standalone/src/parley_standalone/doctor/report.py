"""The doctor's command: which checks, in which order, and how they are shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from parley_kit.settings import ConfigError
from parley_standalone.doctor.checks import (
    Finding,
    Status,
    check_data_dir,
    check_disk,
    check_model,
    check_port,
    check_python,
    check_server,
    check_torch,
)
from parley_standalone.instance import find_instance

MARKS = {Status.OK: "[green]ok[/green]", Status.WARNING: "[yellow]note[/yellow]", Status.PROBLEM: "[red]problem[/red]"}


def doctor_main(*, data_dir: Path | None, port: int | None, model: str | None, as_json: bool) -> int:
    """Run every check and show what it found. Returns the exit code: 1 when something is in the way."""
    console = Console()
    with console.status("Looking around"):
        findings = list(examine(data_dir, port, model))
    healthy = all(finding.status is not Status.PROBLEM for finding in findings)
    if as_json:
        console.out(json.dumps({"healthy": healthy, "findings": [asdict(finding) for finding in findings]}))
    else:
        console.print(_table(findings))
        console.print("All is well." if healthy else "Put the problems right, then run `parley doctor` again.")
    return 0 if healthy else 1


def examine(data_dir: Path | None, port: int | None, model: str | None) -> Iterator[Finding]:
    """Findings in the order in which a start would meet the problems."""
    yield check_python()
    try:
        from parley_standalone.settings import PlatformSettings  # the services themselves may be what is missing

        settings = PlatformSettings.load(data_dir=data_dir, port=port, model=model)
    except (ConfigError, ImportError) as error:
        yield Finding("settings", Status.PROBLEM, str(error), "correct the variable, or run `make setup`")
        return
    yield Finding("settings", Status.OK, f"{settings.base.env}, {settings.worker.worker_backend} backend")
    folder, gateway = settings.base.data_dir, settings.gateway
    yield check_data_dir(folder)
    yield check_disk(folder)
    yield check_port(gateway.gateway_host, gateway.gateway_port, folder)
    if settings.worker.worker_backend == "torch":
        yield check_model(settings.worker.model_folder)
        yield check_torch()
    instance = find_instance(folder)
    running = instance.url if instance else ""
    yield check_server(running or f"http://{gateway.gateway_host}:{gateway.gateway_port}")


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(finding.name, MARKS[finding.status], escape(finding.detail))
        if finding.fix:
            table.add_row("", "", f"[dim]{escape(finding.fix)}[/dim]")
    return table
