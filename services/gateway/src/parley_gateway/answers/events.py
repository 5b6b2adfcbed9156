"""What happens to a reader of an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from parley_proto.conversation.v1 import types_pb2


@dataclass(frozen=True, slots=True)
class Text:
    """More of the answer. offset: its code points before this text, which is never empty."""

    offset: int
    text: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Restarted:
    """Forget the text held: `attempt` begins it anew."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The end, exactly once. message: what was stored, None when nothing was generated."""

    generation: types_pb2.Generation
    message: types_pb2.Message | None


Event: TypeAlias = Text | Restarted | Finished
