"""The ranges of sampling parameters, checked at the door."""

from __future__ import annotations

import sys

from parley_kit.errors import BadInput
from parley_worker.core import SamplingParams

MAX_STOPS = 8
MAX_LOGPROBS = 20
SEEDS = range(-(2**63), 2**64)
"""Whole numbers of 64 bits, with or without a sign."""


def check_params(params: SamplingParams) -> None:
    """Raise BadInput, naming the field, for a value that no model could honour."""
    _require(params.max_tokens is None or params.max_tokens >= 1, "max_tokens", "must be at least 1")
    _require(_within(params.temperature, 0.0, sys.float_info.max), "temperature", "must be a number from 0 up")
    _require(_within(params.top_p, 0.0, 1.0), "top_p", "must be from 0 to 1")
    _require(params.top_k is None or params.top_k >= 0, "top_k", "must be 0 (off) or more")
    penalty = params.repetition_penalty
    _require(_within(penalty, sys.float_info.min, sys.float_info.max), "repetition_penalty", "must be a number over 0")
    _require(_within(params.min_p, 0.0, 1.0), "min_p", "must be from 0 to 1")
    for field in ("presence_penalty", "frequency_penalty"):
        _require(_within(getattr(params, field), -2.0, 2.0), field, "must be from -2 to 2")
    _require(_within(params.logprobs, 0, MAX_LOGPROBS), "logprobs", f"must be from 0 to {MAX_LOGPROBS}")
    _require(params.seed is None or params.seed in SEEDS, "seed", "must be a whole number of 64 bits")
    _require(len(params.stop) <= MAX_STOPS, "stop", f"must be at most {MAX_STOPS} strings")
    _require(all(params.stop), "stop", "must not hold an empty string")


def _within(value: float | None, low: float, high: float) -> bool:
    # False for NaN, and for whole numbers that no float can hold.
    return value is None or low <= value <= high


def _require(condition: bool, field: str, problem: str) -> None:
    if not condition:
        raise BadInput(f"{field} {problem}", field=field)
