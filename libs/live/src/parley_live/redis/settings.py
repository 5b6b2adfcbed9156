"""Which Redis servers, and how long streams live."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from parley_kit.settings import Settings
from parley_live.redis.connector import Connector


class RedisSettings(Settings):
    """For a service in cluster mode."""

    redis_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        ("redis://127.0.0.1:6379/0",),
        repr=False,  # may hold a password
        description="Redis servers, redis://host:port/db, separated by commas; the hot state is spread among them",
    )
    live_retention_seconds: float = Field(300.0, gt=0, description="how long an ended token stream is kept")
    live_lifetime_seconds: float = Field(
        6 * 3600.0, gt=0, description="how long a token stream is kept that nobody writes to and nobody ends"
    )

    @field_validator("redis_urls", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("redis_urls")
    @classmethod
    def _are_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        try:
            names = [Connector(url).name for url in urls]
        except (ValueError, TypeError):  # their text may quote a part of the password
            raise ValueError("expected redis://host:port/db, with / # ? @ in a password escaped") from None
        if not names or len(set(names)) < len(names):
            raise ValueError("must be one or more different servers")
        return urls
