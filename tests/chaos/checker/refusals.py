"""R7, R8: a refusal says to come again. R9: a stranger finds nothing."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.history import History

AGAIN = {"UNAVAILABLE", "OVERLOADED", "RATE_LIMITED", "DEADLINE_EXCEEDED"}
WITH_TIME = {"UNAVAILABLE", "OVERLOADED", "RATE_LIMITED"}
CUT = {"CUT", "SILENT"}
"""Not said by the platform: the connection broke, or nothing came in the client's own time."""


def check(history: History) -> Iterator[str]:
    for refusal in history.refusals:
        code = refusal.value.get("error", "nothing")
        where = f"{refusal.f} of {refusal.process} at {refusal.time:.1f} s"
        if code not in AGAIN | CUT:
            yield f"R8 {where} was refused with {code}"
        elif code in WITH_TIME and not (refusal.value.get("retry_after") or 0) > 0:
            yield f"R7 {where} was refused with {code} and no time to come again"
    yield from (f"R9 a stranger found {value['id']}" for value in history.found if value["found"])
