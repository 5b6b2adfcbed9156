"""What the engine process and its client say to each other: MessagePack, each message after its length in four bytes.

The client says Add, Abort and Stop; the engine Ready or Failed once, and then a Ran for each step.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.msgpack import Decoder, Encoder

from parley_worker.config import Dtype, EngineConfig
from parley_worker.scheduler.request import Output, Request
from parley_worker.scheduler.stats import StepStats

_LENGTH_BYTES = 4
_encode = Encoder().encode


class Add(msgspec.Struct, frozen=True, tag=True):
    """Answer this, from the next step on."""

    request: Request


class Abort(msgspec.Struct, frozen=True, tag=True):
    """Forget the request of this id; an unknown one is already over."""

    id: str


class Stop(msgspec.Struct, frozen=True, tag=True):
    """End the process."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Requests are taken. capacity: answers made at once. window: the tokens of the longest sequence."""

    capacity: int
    window: int


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The engine cannot serve its configuration, and ends. `reason` is one line."""

    reason: str


class Ran(msgspec.Struct, frozen=True, tag=True):
    """A step ran for `seconds`, from its scheduling to its tokens. Without stats no step ran: requests were refused."""

    outputs: list[Output]
    seconds: float = 0.0
    stats: StepStats | None = None


Command = Add | Abort | Stop
Event = Ready | Failed | Ran
T = TypeVar("T")


def encode(message: Command | Event) -> bytes:
    payload = _encode(message)
    return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload


class Inbound(Generic[T]):
    """Cuts what comes from the other end into messages of the kinds `kinds`."""

    def __init__(self, kinds: Any) -> None:
        self._decoder: Decoder[T] = Decoder(kinds)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[T]:
        """The messages that are whole now. Raises msgspec.DecodeError for what the other end never says."""
        self._buffer += data
        messages, start = [], 0
        with memoryview(self._buffer) as buffer:
            while (body := start + _LENGTH_BYTES) <= len(buffer):
                end = body + int.from_bytes(buffer[start:body], "big")
                if end > len(buffer):
                    break
                messages.append(self._decoder.decode(buffer[body:end]))
                start = end
        del self._buffer[:start]
        return messages


def write_config(config: EngineConfig) -> str:
    return json.dumps({**asdict(config), "model": str(config.model)})


def read_config(text: str) -> EngineConfig:
    values = json.loads(text)
    return EngineConfig(**{**values, "model": Path(values["model"]), "dtype": Dtype(values["dtype"])})
