"""Which Redis URLs are taken, and what is said of those that are not."""

from __future__ import annotations

import pytest

from parley_kit.settings import ConfigError
from parley_live.redis import RedisSettings


@pytest.mark.parametrize("urls", ["nonsense", "http://host:1/0", "redis://a:1/0,redis://a:1/0", ",", "redis://a:b/0"])
def test_settings_refuse_what_is_no_redis(monkeypatch: pytest.MonkeyPatch, urls: str) -> None:
    monkeypatch.setenv("PARLEY_REDIS_URLS", urls)
    with pytest.raises(ConfigError, match="PARLEY_REDIS_URLS"):
        RedisSettings.load()


@pytest.mark.parametrize("url", ["redis://:sec/ret@host:6379/0", "redis://:sec#ret@host:6379/0", "sec://ret@host"])
def test_a_refusal_does_not_quote_the_password(url: str) -> None:
    """One with a / or # that is not escaped looks like a port to those who split URLs."""
    with pytest.raises(ConfigError) as refused:
        RedisSettings.load(redis_urls=url)
    assert "sec" not in str(refused.value)
    assert "ret" not in str(refused.value)


def test_an_option_that_no_connection_has_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match="PARLEY_REDIS_URLS"):
        RedisSettings.load(redis_urls="redis://host:1/0?no_such_option=5")


def test_settings_take_several_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_REDIS_URLS", "redis://:secret@a:1/0, rediss://b:2/1,")
    settings = RedisSettings.load()
    assert settings.redis_urls == ("redis://:secret@a:1/0", "rediss://b:2/1")
    assert "secret" not in repr(settings)
