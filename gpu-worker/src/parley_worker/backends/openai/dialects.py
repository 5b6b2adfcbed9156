"""What the servers that speak the protocol add to it, each in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Dialect(StrEnum):
    """OPENAI is what all of them understand. SGLang speaks VLLM's."""

    OPENAI = "openai"
    VLLM = "vllm"
    LLAMACPP = "llamacpp"
    OLLAMA = "ollama"


@dataclass(frozen=True, slots=True)
class Manner:
    """What may be asked of a server beyond the protocol.

    continues: it goes on with an assistant's message that stands last, given the flags `continuing`, instead of taking
    it for a whole turn. parameters: its names for what the protocol has no name for. always: flags of every request.
    live_usage: it counts in every chunk when asked to.
    """

    continues: bool = False
    continuing: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    always: Mapping[str, Any] = field(default_factory=dict)
    live_usage: bool = False


MANNERS: Mapping[Dialect, Manner] = {
    Dialect.OPENAI: Manner(),
    Dialect.VLLM: Manner(
        continues=True,
        continuing={"continue_final_message": True, "add_generation_prompt": False},
        parameters={"top_k": "top_k", "repetition_penalty": "repetition_penalty", "ignore_eos": "ignore_eos"},
        always={"return_token_ids": True},
        live_usage=True,
    ),
    Dialect.LLAMACPP: Manner(
        continues=True,
        parameters={"top_k": "top_k", "repetition_penalty": "repeat_penalty", "ignore_eos": "ignore_eos"},
    ),
    Dialect.OLLAMA: Manner(continues=True),
}
