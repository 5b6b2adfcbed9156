"""The chat command from its options to its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import httpx
import typer
import uvloop
from rich.console import Console

from parley_kit.clock import SystemClock
from parley_kit.errors import ParleyError
from parley_kit.loopback import is_loopback
from parley_standalone.chat.commands import Line, parse
from parley_standalone.chat.conversation import Conversation
from parley_standalone.chat.keyboard import Keyboard
from parley_standalone.chat.prompt import Prompt
from parley_standalone.chat.renderer import JsonRenderer, PlainRenderer, Renderer, TerminalRenderer
from parley_standalone.chat.session import ChatSession
from parley_standalone.chat.signin import Login, ensure_session
from parley_standalone.client import Account, Api, ChatClient
from parley_standalone.client.credentials import CredentialFile, default_path
from parley_standalone.instance import find_instance
from parley_standalone.output import abandon_stdout

EXIT_OK, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130
DEFAULT_PORT, DEFAULT_DATA_DIR = "8080", ".parley"  # as in the settings, which take long to import


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """The command line. `message`: one exchange, then leave."""

    message: str | None
    url: str | None
    email: str | None
    password: str | None
    model: str | None
    conversation: str | None
    as_json: bool


def chat_main(options: ChatOptions) -> int:
    """Run the command. Returns its exit code; what goes wrong has been said."""
    signal.signal(signal.SIGINT, _interrupt)  # not the loop's own way, which would not end a question at the prompt
    console = Console()
    interactive = sys.stdin.isatty() and options.message is None and not options.as_json
    renderer = _renderer(options, console)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        app = _open_session(options, renderer, Keyboard(interactive), console)
        try:
            session, prompt = runner.run(app.__aenter__())
        except ParleyError as error:
            renderer.error(error)
            return EXIT_FAILED
        except (KeyboardInterrupt, typer.Abort):
            return EXIT_INTERRUPTED
        try:
            return _talk(runner, session, prompt, options.message)
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            abandon_stdout()
            return EXIT_FAILED
        finally:
            runner.run(app.__aexit__(None, None, None))


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _talk(runner: asyncio.Runner, session: ChatSession, prompt: Prompt, message: str | None) -> int:
    """Lines are read while the event loop rests: nothing happens between answers that it would have to do."""
    failed = False
    lines = (Line(message=text) for text in [message]) if message is not None else map(parse, prompt.lines())
    for line in lines:
        runner.run(session.handle(line))
        failed = session.failed
        if session.ended:
            break
    return EXIT_FAILED if failed and not prompt.interactive else EXIT_OK


@asynccontextmanager
async def _open_session(
    options: ChatOptions, renderer: Renderer, keyboard: Keyboard, console: Console
) -> AsyncIterator[tuple[ChatSession, Prompt]]:
    url = options.url or default_url()
    async with httpx.AsyncClient(trust_env=not is_loopback(url)) as http:
        api = Api(url, http)
        account = Account(api, CredentialFile(default_path()))
        login = Login(options.email, options.password, interactive=sys.stdin.isatty() and not options.as_json)
        created = await ensure_session(account, login)
        client = ChatClient(account, SystemClock(), renderer.waiting)
        conversation = Conversation(client, renderer, keyboard, options.model)
        if options.conversation:
            await conversation.open(options.conversation)
        if keyboard.interactive:
            await _greet(console, api, account, client, created)
        yield ChatSession(account, client, renderer, conversation), Prompt(keyboard)


async def _greet(console: Console, api: Api, account: Account, client: ChatClient, created: bool) -> None:
    models = await client.models()
    model = models[0]["name"] if models else "no model"
    console.print(f"[bold green]Parley[/bold green] at {api.url} · {model}", highlight=False)
    welcome = "Welcome" if created else "Welcome back"
    console.print(
        f"{welcome}, {account.display_name}. /help lists the commands, Ctrl-D leaves.\n", markup=False, highlight=False
    )


def _renderer(options: ChatOptions, console: Console) -> Renderer:
    if options.as_json:
        return JsonRenderer()
    return TerminalRenderer(console) if console.is_terminal else PlainRenderer()


def default_url() -> str:
    """That of the platform that runs on the data folder, else where it would listen."""
    instance = find_instance(Path(os.environ.get("PARLEY_DATA_DIR") or DEFAULT_DATA_DIR))
    if instance is not None and instance.url:
        return instance.url
    return f"http://127.0.0.1:{os.environ.get('PARLEY_GATEWAY_PORT') or DEFAULT_PORT}"
