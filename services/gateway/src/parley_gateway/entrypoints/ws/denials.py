"""What uvicorn logs of handshakes that were refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_UNANSWERED = "ASGI callable returned without completing handshake."


@contextmanager
def unlogged_denials() -> Iterator[None]:
    """For the block, a refused handshake is no error in the log: uvicorn takes it for one that nobody answered."""

    def is_fault(record: logging.LogRecord) -> bool:
        return record.msg != _UNANSWERED

    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(is_fault)
    try:
        yield
    finally:
        logger.removeFilter(is_fault)
