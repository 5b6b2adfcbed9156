"""`parley dlq list | show | replay`. Exit codes as everywhere: 1 it did not work, 2 it cannot work as it is set up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from parley_bus.kafka import DeadLetters

T = TypeVar("T")

app = typer.Typer(
    name="dlq",
    help="Dead letters: records that no consumer could take. Needs PARLEY_KAFKA_SERVERS.",
    no_args_is_help=True,
)

Topic = Annotated[str, typer.Argument(help="The topic, with or without .dlq.", metavar="TOPIC")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _place(text: str) -> tuple[int, int]:
    partition, colon, offset = text.partition(":")
    if not (colon and partition.isdecimal() and offset.isdecimal()):
        raise typer.BadParameter("expected PARTITION:OFFSET, as `parley dlq list TOPIC` shows it")
    return int(partition), int(offset)


@app.command("list")
def list_letters(
    topic: Annotated[str | None, typer.Argument(help="List the letters of this topic.", metavar="TOPIC")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many letters, the newest.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the topics that have dead letters, or the letters of one topic, newest last."""
    from parley_standalone.dlq.output import print_letters, print_piles

    if topic is None:
        print_piles(_ask(lambda letters: letters.piles()), as_json)
    else:
        print_letters(_ask(lambda letters: letters.read(topic, limit)), as_json)


@app.command()
def show(
    topic: Topic,
    place: Annotated[str, typer.Argument(help="Which letter.", metavar="PARTITION:OFFSET")],
    as_json: AsJson = False,
) -> None:
    """Show one letter: where it came from, why it is here, and what is in it."""
    from parley_standalone.dlq.output import print_letter

    partition, offset = _place(place)
    print_letter(_ask(lambda letters: letters.find(topic, partition, offset)), as_json)


@app.command()
def replay(
    topic: Topic,
    place: Annotated[str | None, typer.Argument(help="Which letter.", metavar="PARTITION:OFFSET")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All letters of the topic.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send one letter, or all, to the topic where it came from. Doing so twice is harmless. The letters stay."""
    from parley_standalone.dlq.output import print_replayed

    if (place is None) != everything:
        raise typer.BadParameter("name one letter as PARTITION:OFFSET, or say --all", param_hint="PARTITION:OFFSET")
    where = None if place is None else _place(place)

    async def send(letters: DeadLetters) -> int:
        chosen = await letters.read(topic) if where is None else [await letters.find(topic, *where)]
        return await letters.replay(chosen)

    print_replayed(topic, _ask(send), as_json)


def _ask(question: Callable[[DeadLetters], Awaitable[T]]) -> T:
    from parley_kit.errors import ParleyError
    from parley_kit.settings import ConfigError, refuse_to_start

    async def ask() -> T:
        async with _opened() as letters:
            return await question(letters)

    try:
        return asyncio.run(ask())
    except ConfigError as error:
        refuse_to_start(error)
    except ParleyError as error:
        typer.echo(f"parley: {error.message}", err=True)
        raise typer.Exit(1) from None


@asynccontextmanager
async def _opened() -> AsyncIterator[DeadLetters]:
    import logging

    from parley_bus.kafka import KafkaSettings, open_dead_letters

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it has to say comes as an error of ours
    async with open_dead_letters(KafkaSettings.load()) as letters:
        yield letters
