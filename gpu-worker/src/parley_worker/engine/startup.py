"""From a configuration to a running loop."""

from __future__ import annotations

import gc
import socket

from parley_worker.config import EngineConfig
from parley_worker.engine.channel import Channel
from parley_worker.engine.errors import EngineConfigError
from parley_worker.engine.loop import Loop
from parley_worker.engine.messages import Failed, Ready
from parley_worker.engine.opening import open_engine
from parley_worker.models.errors import CheckpointError


def serve(end: socket.socket, config: EngineConfig) -> None:
    """Load the model, tell the client what it can hold, and run until the client says stop."""
    channel = Channel(end)
    try:
        engine = open_engine(config, end.fileno())
    except (CheckpointError, EngineConfigError) as error:
        channel.send(Failed(str(error)))
        return
    gc.collect()
    gc.freeze()  # what is here stays: no collection has to look at it again
    channel.send(Ready(engine.capacity, engine.window))
    Loop(channel, engine).run()
