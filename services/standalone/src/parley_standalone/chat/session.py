"""What each line does: the commands and the messages of one sitting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from parley_kit.errors import BadInput, ParleyError
from parley_standalone.chat.commands import HELP, Command, Line
from parley_standalone.chat.conversation import Conversation
from parley_standalone.chat.renderer import Renderer
from parley_standalone.client import Account, ChatClient, Finished


class ChatSession:
    """`ended` once the user wants to leave; `failed` when the last thing asked for did not work."""

    def __init__(self, account: Account, client: ChatClient, renderer: Renderer, conversation: Conversation) -> None:
        self._account = account
        self._client = client
        self._renderer = renderer
        self._conversation = conversation
        self._listed: list[tuple[str, str]] = []
        self.ended = False
        self.failed = False
        self._commands: dict[Command, Callable[[str], Awaitable[None]]] = {
            Command.STOP: self._stop,
            Command.REGENERATE: self._regenerate,
            Command.NEW: self._new,
            Command.HISTORY: self._history,
            Command.LIST: self._list,
            Command.OPEN: self._open,
            Command.SIGN_OUT: self._sign_out,
            Command.HELP: self._help,
            Command.QUIT: self._quit,
        }

    async def handle(self, line: Line) -> None:
        """Do what the line says. What goes wrong is shown, and the session goes on."""
        self.failed = False
        try:
            await self._dispatch(line)
        except ParleyError as error:
            self.failed = True
            self._renderer.error(error)

    async def _dispatch(self, line: Line) -> None:
        if line.unknown:
            raise BadInput(f"{line.unknown} is not a command; /help lists them")
        if line.command is not None:
            await self._commands[line.command](line.argument)
        elif line.message.strip():
            self._judge(await self._conversation.send(line.message))

    def _judge(self, finished: Finished | None) -> None:
        self.failed = finished is None or finished.state in {"FAILED", "EXPIRED"}

    async def _stop(self, _argument: str) -> None:
        self._renderer.note("No answer is being written.")

    async def _regenerate(self, _argument: str) -> None:
        self._judge(await self._conversation.regenerate())

    async def _new(self, _argument: str) -> None:
        self._conversation.begin()
        self._renderer.note("A new conversation. The other one is in /list.")

    async def _history(self, _argument: str) -> None:
        self._renderer.history(await self._conversation.history())

    async def _list(self, _argument: str) -> None:
        self._listed = await self._client.recent()
        lines = [f"{number:3}  {title or '(no title)'}" for number, (_, title) in enumerate(self._listed, 1)]
        self._renderer.note("\n".join(lines) or "There are no conversations yet.")

    async def _open(self, argument: str) -> None:
        if not argument.isdecimal() or not 1 <= int(argument) <= len(self._listed):
            raise BadInput("name a conversation by its number in /list, such as /open 1")
        title = await self._conversation.open(self._listed[int(argument) - 1][0])
        self._renderer.history(await self._conversation.history())
        self._renderer.note(f"Going on with {title!r}.")

    async def _sign_out(self, _argument: str) -> None:
        await self._account.sign_out()
        self._renderer.note("Signed out.")
        self.ended = True

    async def _help(self, _argument: str) -> None:
        self._renderer.note(HELP)

    async def _quit(self, _argument: str) -> None:
        self.ended = True
