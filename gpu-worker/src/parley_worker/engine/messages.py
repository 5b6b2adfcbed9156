"""What the engine process and its client say to each other: one JSON object a line.

The client says {"add": request}, {"abort": id} and {"stop": true}; the engine {"ready": {slots, window}} or
{"failed": why} once, and then {"outputs": [[id, token, finish_reason, error]]} for each step that drew tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from parley_worker.config import Dtype, EngineConfig
from parley_worker.core import FinishReason
from parley_worker.scheduler.request import Output, Request, Sampling

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def write_config(config: EngineConfig) -> str:
    return json.dumps({**asdict(config), "model": str(config.model)})


def read_config(text: str) -> EngineConfig:
    values = json.loads(text)
    return EngineConfig(**{**values, "model": Path(values["model"]), "dtype": Dtype(values["dtype"])})


def add_message(request: Request) -> Message:
    return {"add": {**asdict(request), "stop_ids": list(request.stop_ids)}}


def read_request(message: Message) -> Request:
    values = message["add"]
    decoded = {
        "token_ids": tuple(values["token_ids"]),
        "stop_ids": frozenset(values["stop_ids"]),
        "sampling": Sampling(**values["sampling"]),
    }
    return Request(**{**values, **decoded})


def outputs_message(outputs: Iterable[Output]) -> Message:
    return {"outputs": [(output.id, output.token_id, output.finish_reason, output.error) for output in outputs]}


def read_outputs(message: Message) -> list[Output]:
    return [
        Output(request_id, token, FinishReason(reason) if reason else None, error)
        for request_id, token, reason, error in message["outputs"]
    ]
