"""What may be typed instead of a message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Command(StrEnum):
    """Each is typed with a slash before it."""

    STOP = "stop"
    REGENERATE = "regenerate"
    NEW = "new"
    HISTORY = "history"
    LIST = "list"
    OPEN = "open"
    SIGN_OUT = "signout"
    HELP = "help"
    QUIT = "quit"


HELP = """\
/stop         stop the answer that is being written (Ctrl-C does the same)
/regenerate   answer the last message again
/new          begin a new conversation
/history      show this conversation
/list         show your conversations
/open N       go on with conversation N of that list
/signout      end this session
/quit         leave (so does Ctrl-D)
Anything else is sent. Begin a message with // to send a slash."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it was meant: a command and its argument, an unknown command, or a message."""

    command: Command | None = None
    argument: str = ""
    message: str = ""
    unknown: str = ""


def parse(line: str) -> Line:
    """What a line means. Only its first character decides; messages keep every character."""
    if line.startswith("//"):
        return Line(message=line[1:])
    if not line.startswith("/"):
        return Line(message=line)
    name, _, argument = line[1:].strip().partition(" ")
    matches = [command for command in Command if command == name.lower()]
    if not matches:
        return Line(unknown=f"/{name}")
    return Line(command=matches[0], argument=argument.strip())
