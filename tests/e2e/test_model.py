"""The bundled model answers, in a process of its own that ends with the platform's."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from support.graphql import open_http
from support.people import sign_up
from support.platform import Platform, group_members, start_platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform as a newcomer starts it."""
    with start_platform(tmp_path_factory.mktemp("model") / "data", settings={}) as started:
        yield started


async def test_the_bundled_model_says_something_and_the_same_again(platform: Platform) -> None:
    async with open_http(platform.url) as http:
        ada = await sign_up(http)
        greedy = {"temperature": 0.0, "maxTokens": 24}
        answers = [(await ada.ask(await ada.create(), "Hello!", parameters=greedy))[1] for _ in range(2)]
        assert answers[0].strip()
        assert answers[0] == answers[1]
        conversation = await ada.create()
        sent, text = await ada.ask(conversation, "How are you?", parameters={"maxTokens": 24, "seed": 7})
        usage = (await ada.generation(sent["generation"]["id"]))["usage"]
        assert usage["promptTokens"] > 0
        assert 0 < usage["completionTokens"] <= 24
        assert (await ada.messages(conversation))[1]["content"] == text


def test_the_engine_is_gone_when_the_platform_is_killed(platform: Platform) -> None:
    """The last of this module: SIGKILL to the parent alone."""
    group = platform.process.pid
    assert len(group_members(group)) > 1
    platform.kill()
    deadline = time.monotonic() + 10
    while group_members(group):
        assert time.monotonic() < deadline, "the engine outlived its parent"
        time.sleep(0.05)
