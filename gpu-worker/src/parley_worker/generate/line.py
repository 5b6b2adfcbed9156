"""One line of a batch: what it asks for, or what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from parley_kit.errors import BadInput
from parley_worker.backends.parameters import check_params
from parley_worker.core import ChatMessage, SamplingParams

PROMPTS = ("prompt", "prompt_ids", "messages")
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Line:
    """A request for an answer to one of a prompt, prompt_ids and messages; `field` says to which."""

    id: str | int
    field: str
    params: SamplingParams
    prompt: str | None = None
    prompt_ids: tuple[int, ...] = ()
    messages: tuple[ChatMessage, ...] = ()


def parse_line(data: bytes) -> dict[str, Any]:
    """The object on a line. Raises BadInput if it is none."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the line is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise BadInput("the line is not a JSON object")
    return values


def read_id(values: dict[str, Any]) -> str | int | None:
    """The id to answer under; None if it is none."""
    value = values.get("id")
    return value if _is_text(value) or _is_integer(value) else None


def read_line(values: dict[str, Any]) -> Line:
    """Check every key. Raises BadInput that names the field. null is the same as leaving a key out."""
    given = {key: value for key, value in values.items() if value is not None}
    line_id = read_id(given)
    if line_id is None:
        raise BadInput("id must be a string or a whole number", "id")
    fields = [field for field in PROMPTS if field in given]
    if len(fields) != 1:
        raise BadInput(f"exactly one of {', '.join(PROMPTS)} must be given, not {len(fields)}", "prompt")
    unknown = sorted(given.keys() - {"id", *PROMPTS, *_CHECKS})
    if unknown:
        raise BadInput(f"{unknown[0]} is not a known key", unknown[0])
    for key, (check, kind) in _CHECKS.items():
        if key in given and not check(given[key]):
            raise BadInput(f"{key} must be {kind}", key)
    params = _read_params(given)
    check_params(params)
    field = fields[0]
    return Line(line_id, field, params, **{field: _READERS[field](given[field])})


def _read_params(given: dict[str, Any]) -> SamplingParams:
    values = {key: given[key] for key in _CHECKS if key in given}
    stop = values.pop("stop", [])
    return SamplingParams(**values, stop=(stop,) if isinstance(stop, str) else tuple(stop))


def _read_prompt(value: Any) -> str:
    if not _is_text(value):
        raise BadInput("prompt must be a string of whole characters", "prompt")
    return str(value)


def _read_ids(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or not all(map(_is_integer, value)):
        raise BadInput("prompt_ids must be a list of token ids", "prompt_ids")
    return tuple(value)


def _read_messages(value: Any) -> tuple[ChatMessage, ...]:
    if not isinstance(value, list) or not value or not all(map(_is_message, value)):
        raise BadInput(f"messages must be a list of role ({', '.join(ROLES)}) and content", "messages")
    return tuple(ChatMessage(item["role"], item["content"]) for item in value)


def _is_message(value: Any) -> bool:
    is_object = isinstance(value, dict) and value.keys() == {"role", "content"}
    return is_object and value["role"] in ROLES and _is_text(value["content"])


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_integer(value) or isinstance(value, float)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:
    """Whether a value is a string without lone surrogates, which have no UTF-8."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _is_stop(value: Any) -> bool:
    return _is_text(value) or (isinstance(value, list) and all(map(_is_text, value)))


_READERS: dict[str, Callable[[Any], Any]] = {
    "prompt": _read_prompt,
    "prompt_ids": _read_ids,
    "messages": _read_messages,
}
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "max_tokens": (_is_integer, "a whole number"),
    "temperature": (_is_number, "a number"),
    "top_p": (_is_number, "a number"),
    "top_k": (_is_integer, "a whole number"),
    "repetition_penalty": (_is_number, "a number"),
    "min_p": (_is_number, "a number"),
    "presence_penalty": (_is_number, "a number"),
    "frequency_penalty": (_is_number, "a number"),
    "logprobs": (_is_integer, "a whole number"),
    "seed": (_is_integer, "a whole number"),
    "stop": (_is_stop, "a string or a list of strings"),
    "ignore_eos": (_is_flag, "true or false"),
}
