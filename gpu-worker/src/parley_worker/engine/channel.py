"""The engine's end of the socket to its client."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

from parley_worker.engine.messages import Command, Event, Inbound, encode

_READ_BYTES = 1 << 20


class Channel:
    """Blocking, for a process that does nothing else."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._inbound: Inbound[Command] = Inbound(Command)

    def send(self, event: Event) -> None:
        """Write a message. A client that does not read stalls the engine: it always reads."""
        self._socket.sendall(encode(event))

    def receive(self, *, wait: bool) -> Iterator[Command]:
        """The commands that have come; with `wait`, not before there is one. EOFError: the client is gone.

        Waiting needs no timeout: the death of the client is an end of file.
        """
        with suppress(BlockingIOError):
            while data := self._socket.recv(_READ_BYTES, 0 if wait else socket.MSG_DONTWAIT):
                commands = self._inbound.feed(data)
                yield from commands
                wait = wait and not commands
            raise EOFError
