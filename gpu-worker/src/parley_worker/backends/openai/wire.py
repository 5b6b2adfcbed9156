"""What the server sends: one chunk of an answer, the list of its models, an error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from parley_worker.backends.openai.refusals import Refusal, Unreadable
from parley_worker.core import Usage


@dataclass(frozen=True, slots=True)
class Piece:
    """What one chunk holds. token_ids: only from servers that tell them. finish: the server's word for the end."""

    text: str = ""
    token_ids: tuple[int, ...] = ()
    finish: str | None = None
    usage: Usage | None = None

    @property
    def begun(self) -> bool:
        """Whether it is of the answer itself: the first chunk of most servers only names the role."""
        return bool(self.text or self.token_ids or self.finish)


class _Cached(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: _Cached | None = None


class _Delta(BaseModel):
    content: Any = None  # pydantic takes no half of a surrogate pair for a text


class _Choice(BaseModel):
    delta: _Delta | None = None
    finish_reason: str | None = None
    token_ids: tuple[int, ...] | None = None


class _Chunk(BaseModel):
    choices: list[_Choice] = []
    usage: _Usage | None = None


class ListedModel(BaseModel):
    """A model that the server lists. The window is under the name that vLLM and SGLang give it, or llama.cpp's."""

    id: str
    max_model_len: int | None = None
    meta: dict[str, Any] | None = None

    @property
    def context_length(self) -> int | None:
        """Tokens, where the server tells. llama.cpp's n_ctx_train is the checkpoint's and no promise of the server."""
        served = (self.meta or {}).get("n_ctx")
        return self.max_model_len or (served if isinstance(served, int) else None)


class ModelList(BaseModel):
    data: list[ListedModel] = Field(default_factory=list)


def parse_piece(data: str) -> Piece:
    """A chunk. Raises Refusal for an error sent as one, Unreadable for what is none."""
    try:
        value = json.loads(data)
        if isinstance(value, dict) and (value.get("error") or value.get("object") == "error"):
            raise parse_refusal(500, value)
        chunk = _Chunk.model_validate(value)
    except ValueError:
        raise Unreadable("the server sent what is no chunk of a chat completion") from None
    choice = chunk.choices[0] if chunk.choices else _Choice()
    content = choice.delta.content if choice.delta else None
    return Piece(
        content if isinstance(content, str) else "",
        choice.token_ids or (),
        choice.finish_reason,
        _to_usage(chunk.usage),
    )


def parse_refusal(status: int, value: object, retry_after: float | None = None) -> Refusal:
    """The error in a body, in any of its usual forms. A code that is an HTTP status is the better status."""
    body = value if isinstance(value, dict) else {}
    nested = body.get("error") or body.get("detail")
    fields: dict[str, Any] = nested if isinstance(nested, dict) else {**body, "message": nested or body.get("message")}
    code, counted = fields.get("code"), fields.get("n_prompt_tokens")
    return Refusal(
        code if isinstance(code, int) and 400 <= code < 600 else status,
        str(fields.get("message") or "no reason given"),
        kinds=frozenset(str(fields[name]) for name in ("code", "type") if fields.get(name)),
        retry_after=retry_after,
        prompt_tokens=counted if isinstance(counted, int) else None,
    )


def _to_usage(usage: _Usage | None) -> Usage | None:
    if usage is None:
        return None
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return Usage(usage.prompt_tokens, usage.completion_tokens, cached or 0)
