"""What the backend is told once, at its start. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from parley_worker.backends.openai.dialects import Dialect


@dataclass(frozen=True, slots=True)
class OpenAiConfig:
    """How to reach the server and what to ask it for.

    url: as `http://host:8000/v1`; /v1 is meant where it has no path. model: as the server calls it; None: the only one
    that it lists. name: what clients call it; None: after the server's. context_length in tokens; None: as the server
    tells. capacity: answers asked for at once. Seconds: connect, to a connection; silence, the longest pause of an
    answer that is taken for waiting and not for a lost server; patience, for how long a job without a first token is
    tried again.
    """

    url: str
    api_key: str | None = None
    model: str | None = None
    name: str | None = None
    dialect: Dialect = Dialect.OPENAI
    context_length: int | None = None
    capacity: int = 32
    connect_seconds: float = 2.0
    silence_seconds: float = 300.0
    patience_seconds: float = 20.0
