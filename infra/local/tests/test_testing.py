"""What the plugin does for all tests: none fails by chance on a busy machine."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from parley_local.child import START_SECONDS


def test_properties_are_not_timed() -> None:
    """By itself hypothesis allows 200 ms an example."""
    assert settings().deadline is None
    assert HealthCheck.too_slow in settings().suppress_health_check


@pytest.mark.usefixtures("redis_url")
def test_the_start_of_a_server_is_not_counted_against_who_asks_first(request: pytest.FixtureRequest) -> None:
    limit = request.node.get_closest_marker("timeout")
    assert limit is not None
    assert limit.args[0] > START_SECONDS
