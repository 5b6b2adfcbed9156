"""The `parley` command. Exit codes: 0 all is well, 1 it did not work, 2 it cannot work as it is set up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from parley_standalone.dlq.commands import app as dlq
from parley_standalone.output import PatientConsole

app = typer.Typer(
    name="parley",
    help="Parley, a self-hosted chat platform that serves its own language model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.add_typer(dlq)

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Databases, keys and logs. [dim]PARLEY_DATA_DIR[/dim]", metavar="DIR")
]
Port = Annotated[int | None, typer.Option(help="The gateway's port. [dim]PARLEY_GATEWAY_PORT[/dim]", metavar="PORT")]
Model = Annotated[
    str | None, typer.Option(help="A Hugging Face checkpoint folder. [dim]PARLEY_WORKER_MODEL[/dim]", metavar="DIR")
]
Url = Annotated[str | None, typer.Option(envvar="PARLEY_URL", help="The server's address.", metavar="URL")]


@app.command()
def run(port: Port = None, data_dir: DataDir = None, model: Model = None) -> None:
    """Run the whole platform in this process, on the embedded stores. Ctrl-C stops it cleanly.

    Options not given come from the environment (docs/settings.md). Exit code 2: it cannot start as it is set up.
    """
    # Imported here, the settings first: the services take a second, and a typing error should not.
    from parley_kit.settings import ConfigError, refuse_to_start
    from parley_standalone.settings import PlatformSettings

    try:
        settings = PlatformSettings.load(data_dir=data_dir, port=port, model=model)
        from parley_standalone import server

        server.run(settings, PatientConsole())
    except ConfigError as error:
        refuse_to_start(error)


@app.command()
def chat(
    message: Annotated[
        str | None, typer.Option("--message", "-m", help="Send this, print the answer, and leave.", metavar="TEXT")
    ] = None,
    url: Url = None,
    email: Annotated[str | None, typer.Option(envvar="PARLEY_EMAIL", help="The account to use.")] = None,
    password: Annotated[
        str | None, typer.Option(envvar="PARLEY_PASSWORD", help="Its password; asked for when left out.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="A model that the server offers; default: its first.")] = None,
    conversation: Annotated[
        str | None, typer.Option("--conversation", "-c", help="Go on with this conversation.", metavar="ID")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print events, one JSON object a line.")] = False,
) -> None:
    """Chat in the terminal: answers stream as they are made.

    Without --message, lines of standard input are sent one by one. A new e-mail address gets an account.
    """
    from parley_standalone.chat.app import ChatOptions, chat_main

    if message is not None and not message.strip():
        raise typer.BadParameter("there is nothing to send", param_hint="--message")
    sys.exit(chat_main(ChatOptions(message, url, email, password, model, conversation, as_json)))


@app.command()
def doctor(
    data_dir: DataDir = None,
    port: Port = None,
    model: Model = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check what `parley run` needs, and say how to put right what is missing. Exit code 1: something is."""
    from parley_standalone.doctor.report import doctor_main

    sys.exit(doctor_main(data_dir=data_dir, port=port, model=model, as_json=as_json))
