"""The library in every variant that this processor runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from parley_worker.native.library import Library
from parley_worker.native.processor import Variant, supported


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """What torch computes here is too small to share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", params=supported(), ids=lambda variant: variant.name)
def library(request: pytest.FixtureRequest) -> Library:
    variant: Variant = request.param
    return Library(variant)
