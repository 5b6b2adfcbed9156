"""The life of the engine process: take commands in, run steps, send tokens out."""

from __future__ import annotations

import time

from parley_worker.engine.channel import Channel
from parley_worker.engine.messages import Abort, Add, Ran
from parley_worker.engine.runner import Runner
from parley_worker.scheduler.scheduler import Scheduler


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
        for command in self._channel.receive(wait=self._scheduler.idle):
            match command:
                case Add(request):
                    self._scheduler.add(request)
                case Abort(request_id):
                    self._scheduler.abort(request_id)
                case _:
                    return False
        return True

    def _step(self) -> None:
        began = time.perf_counter()
        step = self._scheduler.schedule()
        outputs = self._scheduler.update(step, self._runner.run(step))
        self._channel.send(Ran(outputs, time.perf_counter() - began))
