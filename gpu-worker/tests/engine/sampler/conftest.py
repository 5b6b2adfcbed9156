"""Every sampler draws by the same definitions."""

from __future__ import annotations

import pytest

from parley_worker.engine.runner import Sampler
from parley_worker.engine.sampler import sample
from parley_worker.native.library import Library
from parley_worker.native.processor import Variant, supported
from parley_worker.testing.native import open_sampler


@pytest.fixture(scope="session", params=[None, *supported()], ids=lambda variant: variant.name if variant else "torch")
def sampler(request: pytest.FixtureRequest) -> Sampler:
    """torch's, and that of each library that this processor runs, on two threads."""
    variant: Variant | None = request.param
    return open_sampler(Library(variant), threads=2) if variant else sample
