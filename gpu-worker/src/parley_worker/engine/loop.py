"""The life of the engine process: take commands in, run steps, send tokens out."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator

from parley_worker.engine.messages import Message, encode, outputs_message, read_request
from parley_worker.engine.runner import Runner
from parley_worker.scheduler.scheduler import Scheduler

_READ_BYTES = 1 << 20


class Channel:
    """The engine's end of the socket."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._buffer = bytearray()

    def send(self, message: Message) -> None:
        """Write a message. A client that does not read stalls the engine: it always reads."""
        self._socket.sendall(encode(message))

    def receive(self, *, wait: bool) -> Iterator[Message]:
        """The messages that have come; with `wait`, not before there is one. EOFError: the client is gone.

        Waiting needs no timeout: the death of the client is an end of file.
        """
        while wait or select.select([self._socket], [], [], 0)[0]:
            data = self._socket.recv(_READ_BYTES)
            if not data:
                raise EOFError
            self._buffer += data
            *lines, rest = self._buffer.split(b"\n")
            self._buffer = rest
            yield from map(json.loads, lines)
            wait = wait and not lines


class Loop:
    """Runs steps while there is work, and sleeps on the channel while there is none."""

    def __init__(self, channel: Channel, scheduler: Scheduler, runner: Runner) -> None:
        self._channel, self._scheduler, self._runner = channel, scheduler, runner

    def run(self) -> None:
        """Return when the client says stop, or is gone."""
        try:
            while self._take_commands():
                self._step()
        except (EOFError, ConnectionError):
            return

    def _take_commands(self) -> bool:
        for message in self._channel.receive(wait=self._scheduler.idle):
            if "add" in message:
                self._scheduler.add(read_request(message))
            elif "abort" in message:
                self._scheduler.abort(message["abort"])
            else:
                return False
        return True

    def _step(self) -> None:
        step = self._scheduler.schedule()
        outputs = self._scheduler.update(step, self._runner.run(step))
        if outputs:
            self._channel.send(outputs_message(outputs))
