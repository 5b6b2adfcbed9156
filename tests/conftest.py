"""One platform with the scripted backend for all the tests that leave it running."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from support.graphql import Http, open_http
from support.people import Person, sign_up
from support.platform import Platform, start_platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with start_platform(tmp_path_factory.mktemp("platform") / "data") as started:
        yield started


@pytest.fixture
async def http(platform: Platform) -> AsyncIterator[Http]:
    async with open_http(platform.url) as opened:
        yield opened


@pytest.fixture
async def ada(http: Http) -> Person:
    return await sign_up(http)
