"""From a configuration to a running loop."""

from __future__ import annotations

import socket

import torch

from parley_worker.config import Dtype, EngineConfig
from parley_worker.engine.channel import Channel
from parley_worker.engine.errors import EngineConfigError
from parley_worker.engine.loop import Loop
from parley_worker.engine.messages import Failed, Ready
from parley_worker.engine.plan import choose_device, choose_dtype, choose_threads, plan_cache
from parley_worker.engine.runner import Runner
from parley_worker.models.config import read_model_config
from parley_worker.models.errors import CheckpointError
from parley_worker.models.loader import load_model
from parley_worker.scheduler.scheduler import Scheduler


def serve(end: socket.socket, config: EngineConfig) -> None:
    """Load the model, tell the client what it can hold, and run until the client says stop."""
    channel = Channel(end)
    try:
        slots, window, runner = _load(config)
    except (CheckpointError, EngineConfigError) as error:
        channel.send(Failed(str(error)))
        return
    channel.send(Ready(slots, window))
    Loop(channel, Scheduler(slots, window, config.step_tokens), runner).run()


def _load(config: EngineConfig) -> tuple[int, int, Runner]:
    torch.set_num_threads(choose_threads(config, read_model_config(config.model)))
    device = choose_device(config)
    model = load_model(config.model, choose_dtype(config, device), device, int8=config.dtype is Dtype.INT8)
    slots, window = plan_cache(config, model.config, model.dtype)
    return slots, window, Runner(model, slots, window)
