"""What counts as this machine itself."""

from __future__ import annotations

import pytest

from parley_kit.loopback import is_loopback


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:8080", True),
        ("ws://localhost/graphql", True),
        ("http://[::1]:8080", True),
        ("https://chat.example.com", False),
        ("http://192.0.2.7:8080", False),
    ],
)
def test_what_this_machine_is(url: str, own: bool) -> None:
    assert is_loopback(url) is own
