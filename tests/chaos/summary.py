"""What happened in a run, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from chaos import history
from chaos.operation import Operation


def summary(operations: Sequence[Operation]) -> list[str]:
    """Lines to print: operations, faults, how the generations ended, and how long a yes or a no took."""
    told = history.of(operations)
    seconds = operations[-1].time if operations else 0.0
    states = Counter(
        told.states(generation)[0]["state"] for generation, _ in told.generations() if told.states(generation)
    )
    attempts = Counter(
        told.states(generation)[0]["attempt"] for generation, _ in told.generations() if told.states(generation)
    )
    restarts = sum("restarted" in event for it in operations for event in it.value.get("events", ()))
    cut = sum(len(reading.connections) - 1 for reading in told.readings.values())
    return [
        f"{len(operations)} operations in {seconds:.0f} s ({len(operations) / max(seconds, 1):.0f}/s): "
        + _counts(f"{it.f} {it.type}" for it in operations if it.type != "invoke"),
        "faults: " + _counts(f"{fault.kind} {fault.target}" for fault in told.faults),
        "generations: " + _counts_of(states) + "; attempts: " + _counts_of(attempts),
        "SIGTERM until it has ended and another runs: "
        + _times(fault.end - fault.start for fault in told.faults if fault.kind == "terminate"),
        f"readers: {len(told.readings)}, reconnected {cut} times, {restarts} explicit restarts",
        "refusals: " + _counts(f"{it.f} {it.value.get('error')}"[:60] for it in told.refusals),
        "time to a yes: " + _times(_durations(operations, "ok")),
        "time to UNAVAILABLE: " + _times(_durations(operations, "info", "UNAVAILABLE")),
    ]


def _durations(operations: Iterable[Operation], how: str, error: str | None = None) -> Iterator[float]:
    """Seconds from `invoke` to the end of single requests."""
    began: dict[tuple[str, str], float] = {}
    for it in operations:
        if it.f in {"send", "stop", "create"}:
            if it.type == "invoke":
                began[it.process, it.f] = it.time
            elif it.type == how and it.value.get("error") == error:
                yield it.time - began[it.process, it.f]


def _times(seconds: Iterable[float]) -> str:
    ordered = sorted(seconds)
    if not ordered:
        return "none"
    p99 = ordered[int(len(ordered) * 0.99)]
    return f"{len(ordered)}, p50 {median(ordered):.3f} s, p99 {p99:.3f} s, max {ordered[-1]:.3f} s"


def _counts(names: Iterable[str]) -> str:
    return _counts_of(Counter(names))


def _counts_of(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=str)) or "none"
