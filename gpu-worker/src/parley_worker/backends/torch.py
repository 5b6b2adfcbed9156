"""Our own engine as a backend: the text side here, the model in a process of its own. Imports no torch."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from parley_kit.errors import BadInput, DeadlineExceeded, Internal, Unavailable
from parley_worker.backends.parameters import check_params
from parley_worker.backends.pieces import Pieces
from parley_worker.config import EngineConfig
from parley_worker.core import ChatMessage, Chunk, FinishReason, Job, ModelInfo, Prefix, SamplingParams, Usage
from parley_worker.engine.client import EngineClient
from parley_worker.engine.errors import DeadlinePassed, EngineDied, RequestError
from parley_worker.meter import EngineMeter
from parley_worker.models.config import ModelConfig, read_model_config
from parley_worker.models.generation import GenerationDefaults, read_generation_defaults
from parley_worker.scheduler.request import Request, Sampling
from parley_worker.text.answer import AnswerText
from parley_worker.text.tokenizer import TextTokenizer
from parley_worker.window import fit, room_for_prompt

Encode = Callable[[], tuple[int, ...]]
NOTHING = Prefix()
# Longer prompts are tokenised in a thread, so that the answers of others keep flowing.
_INLINE_CHARACTERS = 10_000


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the text side knows of a checkpoint folder."""

    tokenizer: TextTokenizer
    config: ModelConfig
    defaults: GenerationDefaults

    @classmethod
    def read(cls, engine: EngineConfig) -> Checkpoint:
        """Raises CheckpointError, one line that names the file or the key."""
        config = read_model_config(engine.model)
        return cls(TextTokenizer(engine.model), config, read_generation_defaults(engine.model, config.eos_ids))


class TorchBackend:
    """Serves a checkpoint folder on the engine process behind `client`. Open one with `open_torch_backend`."""

    def __init__(self, checkpoint: Checkpoint, client: EngineClient, name: str) -> None:
        self._checkpoint, self._client = checkpoint, client
        self.model = ModelInfo(name, client.window, client.capacity)

    @property
    def ready(self) -> bool:
        """Whether the engine runs. False from its death to the end of its restart: jobs get Unavailable meanwhile."""
        return self._client.ready

    def generate(self, job: Job) -> AsyncGenerator[Chunk]:
        """See `Backend.generate`."""
        return self._answer(partial(self._encode_job, job), job.params, job.resume, "messages", job.user, job.deadline)

    async def wait_ready(self) -> None:
        """Return when the engine runs. Raises Unavailable if it has not started again for too long."""
        try:
            await self._client.wait_ready()
        except EngineDied as error:
            raise Unavailable(str(error)) from error

    async def encode_text(self, text: str) -> tuple[int, ...]:
        """The token ids of a bare prompt."""
        return await _offload(len(text), partial(self._checkpoint.tokenizer.encode, text))

    async def encode_chat(self, messages: Sequence[ChatMessage]) -> tuple[int, ...]:
        """The token ids that ask for the next message. Raises BadInput if the template refuses the messages."""
        return await self._encode(partial(self._checkpoint.tokenizer.encode_chat, messages), messages)

    def answer(
        self, prompt: tuple[int, ...], params: SamplingParams, *, field: str = "prompt"
    ) -> AsyncGenerator[Chunk]:
        """The answer to a prompt of token ids, as `Backend.generate`; `field` is what the caller calls the prompt."""

        async def given() -> tuple[int, ...]:
            return prompt

        return self._answer(given, params, NOTHING, field)

    async def _answer(
        self,
        encode: Callable[[], Awaitable[tuple[int, ...]]],
        params: SamplingParams,
        resume: Prefix,
        field: str,
        user: str = "",
        deadline: float | None = None,
    ) -> AsyncGenerator[Chunk]:
        # One generator from here to the client's: each that a token passes through costs as much as its text.
        check_params(params)
        prompt = await encode()
        self._check_prompt(prompt, resume, field)
        request = replace(self._request(prompt, params, resume), user=user, deadline=deadline)
        text = AnswerText(self._checkpoint.tokenizer.detokenizer(), params.stop)
        pending = _resume(text, resume, request.stop_ids)
        if reason := self._finished(request, text, len(prompt)):
            yield Chunk(pending + text.flush(), (), reason, Usage(len(prompt), request.answered))
            return
        pieces = Pieces(request, text, pending)
        try:
            async with aclosing(self._client.generate(request)) as made:
                async for outputs in made:
                    chunk = pieces.add(outputs)
                    yield chunk
                    if chunk.finish_reason:
                        return
        except EngineDied as error:
            raise Unavailable(str(error)) from error
        except DeadlinePassed as error:
            raise DeadlineExceeded(str(error)) from error
        except RequestError as error:
            raise Internal(str(error)) from error

    async def _encode_job(self, job: Job) -> tuple[int, ...]:
        return await self._encode(partial(self._encode_fitting, job), job.messages)

    async def _encode(self, encode: Encode, messages: Sequence[ChatMessage]) -> tuple[int, ...]:
        try:
            return await _offload(sum(len(message.content) for message in messages), encode)
        except ValueError as error:
            raise BadInput(str(error), field="messages") from error

    def _encode_fitting(self, job: Job) -> tuple[int, ...]:
        encode = self._checkpoint.tokenizer.encode_chat
        room = room_for_prompt(self.model.context_length, job.params.max_tokens)
        prompt = encode(job.messages)
        if len(prompt) <= room:
            return prompt
        return encode(fit(job.messages, lambda messages: len(encode(messages)), room))

    def _check_prompt(self, prompt: tuple[int, ...], resume: Prefix, field: str) -> None:
        vocabulary, window = self._checkpoint.config.vocab_size, self.model.context_length
        if not prompt:
            raise BadInput(f"{field} has no tokens", field)
        if len(prompt) >= window:
            raise BadInput(f"{field} has {len(prompt)} tokens; the window holds {window}, answer included", field)
        for name, token_ids in ((field, prompt), ("resume", resume.token_ids)):
            if not all(0 <= token < vocabulary for token in token_ids):
                raise BadInput(f"{name} has token ids outside of the vocabulary of {vocabulary}", name)

    def _request(self, prompt: tuple[int, ...], params: SamplingParams, resume: Prefix) -> Request:
        defaults, window = self._checkpoint.defaults, self.model.context_length
        return Request(
            token_ids=prompt + resume.token_ids,
            answered=len(resume.token_ids),
            max_tokens=min(params.max_tokens or defaults.max_tokens or window, window),
            stop_ids=frozenset() if params.ignore_eos else defaults.eos_ids,
            sampling=_sampling(params, defaults, self._checkpoint.config.vocab_size),
        )

    def _finished(self, request: Request, text: AnswerText, prompt_tokens: int) -> FinishReason | None:
        """The end of an answer that an earlier attempt had already reached."""
        resumed = request.token_ids[prompt_tokens:]
        if text.stopped or (resumed and resumed[-1] in request.stop_ids):
            return FinishReason.STOP
        full = len(resumed) >= request.max_tokens or len(request.token_ids) >= self.model.context_length
        return FinishReason.LENGTH if full else None


@asynccontextmanager
async def open_torch_backend(config: EngineConfig, name: str | None = None) -> AsyncIterator[TorchBackend]:
    """Load the checkpoint and start the engine; yields when it can answer.

    `name` is what the model is called, by default its folder. Raises CheckpointError or EngineConfigError, both
    ValueErrors of one readable line, if the folder or a setting cannot be served.
    """
    checkpoint = Checkpoint.read(config)
    name = name or config.model.resolve().name
    async with EngineClient(config, observer=EngineMeter(name)) as client:
        yield TorchBackend(checkpoint, client, name)


async def _offload(size: int, encode: Encode) -> tuple[int, ...]:
    return await asyncio.to_thread(encode) if size > _INLINE_CHARACTERS else encode()


def _resume(text: AnswerText, resume: Prefix, stop_ids: frozenset[int]) -> str:
    """Prime the text with what was streamed; what readers do not hold of it yet."""
    ended = bool(resume.token_ids) and resume.token_ids[-1] in stop_ids
    spoken = resume.token_ids[:-1] if ended else resume.token_ids
    try:
        return text.resume(Prefix(spoken, resume.text))
    except ValueError as error:
        raise BadInput(str(error), field="resume") from error


def _sampling(params: SamplingParams, defaults: GenerationDefaults, vocabulary: int) -> Sampling:
    """Every setting decided. A caller's whole number may be of any size, which a message to the engine cannot hold."""

    def decided(value: float | None, default: float) -> float:
        return float(default if value is None else value)

    return Sampling(
        temperature=decided(params.temperature, defaults.temperature),
        top_k=min(defaults.top_k if params.top_k is None else params.top_k, vocabulary),
        top_p=decided(params.top_p, defaults.top_p),
        repetition_penalty=decided(params.repetition_penalty, defaults.repetition_penalty),
        seed=secrets.randbits(63) if params.seed is None else params.seed,
        min_p=decided(params.min_p, defaults.min_p),
        presence_penalty=params.presence_penalty or 0.0,
        frequency_penalty=params.frequency_penalty or 0.0,
        logprobs=params.logprobs,
    )
