"""The engine's end of the socket to its client."""

from __future__ import annotations

import select
import socket

from parley_worker.engine.messages import Command, Event, Inbound, encode

# A message may be longer; so much memory is taken for each read.
_READ_BYTES = 1 << 16


class Channel:
    """Blocking, for a process that does nothing else."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._inbound: Inbound[Command] = Inbound(Command)
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)

    def send(self, event: Event) -> None:
        """Write a message. A client that does not read stalls the engine: it always reads."""
        self._socket.sendall(encode(event))

    def receive(self, *, wait: bool) -> list[Command]:
        """The commands that have come; with `wait`, not before there is one. EOFError: the client is gone.

        Waiting needs no timeout: the death of the client is an end of file.
        """
        commands: list[Command] = []
        while (wait and not commands) or self._poll.poll(0):
            data = self._socket.recv(_READ_BYTES)
            if not data:
                raise EOFError
            commands += self._inbound.feed(data)
        return commands
