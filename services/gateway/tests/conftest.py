"""A gateway for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from parley_gateway.testing.stack import Stack, open_stack


@pytest.fixture
async def stack() -> AsyncIterator[Stack]:
    async with open_stack() as opened:
        yield opened
