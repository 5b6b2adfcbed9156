"""The models that conversations can use: configured ones, and those that workers announce."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from parley_conversation.domain.rules import MAX_MODEL_NAME
from parley_conversation.ports import Models, ServedModel
from parley_kit.clock import Clock
from parley_kit.errors import BadInput, Unavailable

ASSUMED_CONTEXT_LENGTH = 2048
LENGTHS_SECONDS = 5.0
REMEMBERED = timedelta(minutes=1)
"""How long a model whose workers went away stays listed, so that a worker's restart does not make it vanish."""


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    context_length: int
    available: bool


class Catalogue:
    """default: the model of new conversations; None: the first one available, by name. configured: context lengths."""

    def __init__(
        self, models: Models, clock: Clock, default: str | None, configured: Mapping[str, int], fresh: timedelta
    ) -> None:
        self._models = models
        self._clock = clock
        self._configured = dict(configured)
        self._default = default
        self._fresh = fresh
        self._lengths: dict[str, int] = {}
        self._asked_at = 0.0

    async def announce(self, name: str, context_length: int) -> None:
        """A worker serves this model now. Raises BadInput for what cannot be a model."""
        if not 0 < len(name) <= MAX_MODEL_NAME or context_length < 1:
            raise BadInput(f"not a model: {name!r} with a context of {context_length}", "model")
        await self._models.announce(ServedModel(name, context_length, self._clock.now()))

    async def listed(self) -> Sequence[Model]:
        """Served now or configured, the default first."""
        now = self._clock.now()
        served = {model.name: model for model in await self._models.served()}
        recent = {name for name, model in served.items() if now - model.seen_at <= REMEMBERED}
        names = recent | self._configured.keys() | ({self._default} if self._default else set())
        models = [self._judge(served[name], now) if name in served else self._unseen(name) for name in names]
        return sorted(models, key=lambda model: (model.name != self._default, not model.available, model.name))

    async def default(self) -> str:
        """The model of a conversation that names none. Raises Unavailable when no model is known yet."""
        models = await self.listed()
        if not models:
            raise Unavailable("no model is served yet")
        return models[0].name

    async def check(self, name: str) -> None:
        """Raises BadInput unless the model is configured or was ever served: it may be away, never unknown."""
        if name not in await self._known():
            raise BadInput("model is not one of the models listed", "model")

    async def context_length(self, name: str) -> int:
        """In tokens, as a worker said, else as configured: every request asks, so an answer is good for seconds."""
        if name not in self._lengths or self._clock.monotonic() - self._asked_at > LENGTHS_SECONDS:
            self._lengths, self._asked_at = await self._known(), self._clock.monotonic()
        return self._lengths.get(name, ASSUMED_CONTEXT_LENGTH)

    async def _known(self) -> dict[str, int]:
        default = {self._default: ASSUMED_CONTEXT_LENGTH} if self._default else {}
        served = {model.name: model.context_length for model in await self._models.served()}
        return {**default, **self._configured, **served}

    def _judge(self, model: ServedModel, now: datetime) -> Model:
        return Model(model.name, model.context_length, now - model.seen_at <= self._fresh)

    def _unseen(self, name: str) -> Model:
        return Model(name, self._configured.get(name, ASSUMED_CONTEXT_LENGTH), available=False)
