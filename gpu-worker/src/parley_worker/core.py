"""What a request to a model is, and what comes back. Plain data: no torch, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FinishReason(StrEnum):
    """Why a model stopped by itself; a cancelled or failed request has none."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a prompt. `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to choose tokens. None means: the checkpoint's generation_config, else the default named here.

    max_tokens: at least 1; None: to the end of the window. temperature 0 is greedy (default 1). top_p in 0..1 (default
    off). top_k >= 0, 0 is off. min_p in 0..1, 0 is off: the least probability, as a share of the best token's.
    repetition_penalty is transformers', over prompt and answer; presence_penalty and frequency_penalty in -2..2 are
    those of OpenAI's API, over the answer (default 0). seed: the same tokens whatever else is in the batch. stop: up to
    8 strings, looked for in the generated text alone. ignore_eos: go on after an end token, to max_tokens. logprobs in
    0..20: tell each token's log-probability and those of as many of the best tokens.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Prefix:
    """What an earlier attempt already streamed of an answer: its tokens, and the text that readers hold."""

    token_ids: tuple[int, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One answer to make, as the backends take it. `resume` is what readers already have of it.

    user: whose turn it takes where jobs wait; jobs without one share a turn. deadline: of time.monotonic().
    """

    id: str
    messages: tuple[ChatMessage, ...]
    params: SamplingParams = SamplingParams()
    resume: Prefix = Prefix()
    user: str = ""
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of a finished answer. completion_tokens counts the eos and the resumed prefix too.

    cached_tokens: how many of the prompt's were not computed, as an earlier request had them computed already.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token's log-probability by the model's own scores, before penalties, temperature and what else shapes a draw.

    best: ids and log-probabilities of the likeliest tokens, best first, whether the token is one of them or not.
    """

    token_id: int
    logprob: float
    best: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer: text to append (may be empty) and the tokens behind it.

    The tokens of a chunk may be ahead of its text: text that could still turn into a stop string or that is half a
    code point is held back. The last chunk, and only it, has `finish_reason`. The first and the last have `usage`: the
    counts up to there. A model behind somebody else's server may have neither token ids nor usage. logprobs: one for
    each of the tokens, if the request asks for them.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that a backend serves. context_length in tokens; capacity: answers made at once."""

    name: str
    context_length: int
    capacity: int
