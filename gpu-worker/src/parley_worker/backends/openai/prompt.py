"""A job as a request to the server, and a shorter one when the server finds it too long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from parley_kit.errors import BadInput
from parley_worker.backends.openai.dialects import Manner
from parley_worker.backends.openai.refusals import Refusal
from parley_worker.core import Job, SamplingParams
from parley_worker.window import Messages, fit, room_for_prompt

MAX_CUTS = 16
CUT = 0.75
SERVER_STOPS = 4
"""The protocol takes so many stop strings; more are looked for here alone."""
CHARACTERS_PER_TOKEN = 4
MESSAGE_OVERHEAD = 16
_SEEDS = 2**31
_NOT_EVERYWHERE = (
    "top_k",
    "repetition_penalty",
    "ignore_eos",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked. max_tokens: of the answer's rest. resumed: what stands of it already."""

    messages: Messages
    params: SamplingParams
    max_tokens: int | None
    resumed: str = ""
    cuts: int = 0

    @classmethod
    def of(cls, job: Job, manner: Manner) -> Prompt:
        """Raises BadInput for what the server would silently do otherwise; field `resume`: it can only begin again."""
        for name in _NOT_EVERYWHERE:
            if getattr(job.params, name) and name not in manner.parameters:
                raise BadInput(f"{name} is not taken by this model's server", field=name)
        if job.resume.text and not manner.continues:
            raise BadInput("this model's server does not go on with an answer", field="resume")
        return cls(job.messages, job.params, _rest(job), job.resume.text.rstrip())

    def body(self, model: str, manner: Manner) -> dict[str, Any]:
        """The JSON of the request."""
        messages = [{"role": message.role, "content": message.content} for message in self.messages]
        usage = {"include_usage": True, **({"continuous_usage_stats": True} if manner.live_usage else {})}
        body = {"model": model, "messages": messages, "stream": True, "stream_options": usage, **manner.always}
        if self.resumed:
            messages.append({"role": "assistant", "content": self.resumed})
            body.update(manner.continuing)
        if self.max_tokens is not None:
            body["max_tokens"] = self.max_tokens
        return {**body, **_sampling(self.params, manner)}

    def shorter(self, refusal: Refusal, window: int) -> Prompt:
        """What to ask instead, after the server found it too long. Raises BadInput when nothing is left to cut.

        First the answer's limit gives way, as far as a quarter of the window; then the oldest end of the conversation.
        Counts in characters, since the server alone can count tokens, and goes by the server's count where it has one.
        """
        quarter = window - room_for_prompt(window, None)
        counted = refusal.prompt_tokens
        limit = quarter if counted is None else window - counted
        if self.max_tokens is not None and min(self.max_tokens, quarter) <= limit < self.max_tokens:
            return replace(self, max_tokens=limit)
        share = min(CUT, 0.95 * room_for_prompt(window, self.max_tokens) / counted) if counted else CUT
        messages = fit(self.messages, _size, int(_size(self.messages) * share))
        if messages == self.messages or self.cuts == MAX_CUTS:
            raise BadInput(f"messages do not fit the model's window: {refusal}", field="messages")
        return replace(self, messages=messages, cuts=self.cuts + 1)


def _rest(job: Job) -> int | None:
    """Tokens that the answer may still have. Without the ids of those that stand, their number is a guess."""
    if job.params.max_tokens is None:
        return None
    made = len(job.resume.token_ids) or len(job.resume.text) // CHARACTERS_PER_TOKEN
    return max(1, job.params.max_tokens - made)


def _sampling(params: SamplingParams, manner: Manner) -> Mapping[str, Any]:
    values = {
        "temperature": 0.0 if params.top_p == 0 else params.temperature,  # servers refuse the one and know the other
        "top_p": params.top_p or None,
        "seed": None if params.seed is None else params.seed % _SEEDS,
        "stop": list(params.stop) if 0 < len(params.stop) <= SERVER_STOPS else None,
    }
    extras = {wire: getattr(params, name) or None for name, wire in manner.parameters.items()}
    return {name: value for name, value in {**values, **extras}.items() if value is not None}


def _size(messages: Messages) -> int:
    return sum(len(message.content) + MESSAGE_OVERHEAD for message in messages)
