"""The checker of histories. Pure: `violations` of a history that is well is empty."""

from __future__ import annotations

from collections.abc import Iterable

from chaos import history
from chaos.checker import endings, messages, order, readings, refusals
from chaos.operation import Operation

CHECKS = (messages.check, order.check, endings.check, readings.check, refusals.check)


def violations(operations: Iterable[Operation]) -> list[str]:
    """Every broken promise, in words that begin with its name (R1 ... R9, order)."""
    told = history.of(operations)
    return list(dict.fromkeys(violation for check in CHECKS for violation in check(told)))
