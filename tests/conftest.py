"""One platform of each mode, with the scripted backend, for all the tests that leave it running."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from support.cluster import Cluster, start_cluster
from support.graphql import Http, open_http
from support.people import Person, sign_up
from support.platform import Platform, start_platform


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with start_platform(tmp_path_factory.mktemp("platform") / "data") as started:
        yield started


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two gateways and two workers on the real servers."""
    with start_cluster(tmp_path_factory.mktemp("cluster") / "data") as started:
        yield started


@pytest.fixture(scope="session", params=["embedded", pytest.param("cluster", marks=pytest.mark.timeout(180))])
def platform(request: pytest.FixtureRequest) -> Platform:
    """Both modes in turn: what a user sees is the same. The longer time is for the start of the servers."""
    started: Platform = request.getfixturevalue(request.param)
    return started


@pytest.fixture
async def http(platform: Platform) -> AsyncIterator[Http]:
    async with open_http(platform.url) as opened:
        yield opened


@pytest.fixture
async def ada(http: Http) -> Person:
    return await sign_up(http)
