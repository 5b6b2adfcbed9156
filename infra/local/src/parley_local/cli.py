"""The `parley-local` command. Exit codes: 0 all is well, 1 it broke, 2 it cannot work as it is set up."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from parley_kit.settings import ConfigError, refuse_to_start

app = typer.Typer(
    name="parley-local",
    help="The real servers and every service of Parley on this machine, without Docker.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Count = Annotated[int, typer.Option(min=1, max=64, help="How many processes.")]


@app.command()
def up(gateways: Count = 1, workers: Count = 1) -> None:
    """Run Kafka, Cassandra, MongoDB, Redis and every service until Ctrl-C or `parley-local down`."""
    from parley_local.settings import ClusterSettings
    from parley_local.up import run_cluster
    from parley_standalone.output import PatientConsole

    logging.disable()  # the clients that ask whether a server is there yet would tell the terminal how they fare
    with _refusals():
        sys.exit(run_cluster(ClusterSettings.load(), gateways, workers, PatientConsole()))


@app.command()
def down() -> None:
    """End the cluster of PARLEY_DATA_DIR, from anywhere. Does nothing when there is none."""
    from parley_local.down import end_cluster
    from parley_local.layout import Layout
    from parley_local.settings import ClusterSettings

    with _refusals():
        layout = Layout(ClusterSettings.load().data_dir.resolve())
        ended = end_cluster(layout)
        typer.echo(f"The cluster on {layout.data_dir} " + ("has stopped." if ended else "does not run."))


@app.command()
def install() -> None:
    """Fetch what the servers need, and say what is missing. Instant when all is there."""
    from parley_local.install import install_servers

    with _refusals():
        install_servers(typer.echo)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        refuse_to_start(error)
