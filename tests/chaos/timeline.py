"""A picture of a run: what was broken when, and how many messages were acknowledged and answers ended meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape

from chaos import history
from chaos.history import Fault
from chaos.operation import Operation

WIDTH, LEFT, ROW, CHART = 1200, 150, 18, 120
COLOURS = {"kill": "#c0392b", "terminate": "#e67e22", "pause": "#8e44ad", "flush": "#c0392b"}
NETWORK_COLOUR = "#2980b9"


def timeline(operations: Sequence[Operation]) -> str:
    """An SVG document."""
    faults = history.of(operations).faults
    targets = sorted({fault.target for fault in faults})
    seconds = max(operations[-1].time, 1.0) if operations else 1.0
    height = CHART + 30 + ROW * len(targets) + 30
    body = [*_chart(operations, seconds), *_rows(faults, targets, seconds), *_axis(seconds, height)]
    style = "text{font:11px sans-serif;fill:#333}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">'
        f'<style>{style}</style><rect width="{WIDTH}" height="{height}" fill="#fff"/>{"".join(body)}</svg>\n'
    )


def _x(time: float, seconds: float) -> float:
    return round(LEFT + (WIDTH - LEFT - 10) * min(time, seconds) / seconds, 1)


def _rows(faults: Sequence[Fault], targets: Sequence[str], seconds: float) -> Iterator[str]:
    """One row for each target, one bar for each fault."""
    for number, target in enumerate(targets):
        y = CHART + 30 + number * ROW
        yield f'<text x="5" y="{y + 12}">{escape(target)}</text>'
        for fault in faults:
            if fault.target == target:
                start, end = _x(fault.start, seconds), _x(fault.end, seconds)
                colour = COLOURS.get(fault.kind, NETWORK_COLOUR)
                box = f'x="{start}" y="{y + 2}" width="{max(end - start, 2):.1f}" height="{ROW - 5}"'
                title = f"<title>{escape(fault.kind)} at {fault.start:.1f} s</title>"
                yield f'<rect {box} fill="{colour}">{title}</rect>'


def _chart(operations: Sequence[Operation], seconds: float) -> Iterator[str]:
    """Each second's count of acknowledged messages and of answers read to their end."""
    lines = {"acknowledged": ("send", "#27ae60"), "read to the end": ("read", "#7f8c8d")}
    counts = {f: Counter(int(it.time) for it in operations if it.f == f and it.type == "ok") for f, _ in lines.values()}
    top = max((count for each in counts.values() for count in each.values()), default=1)
    yield f'<text x="{LEFT - 25}" y="22">{top}/s</text>'
    for number, (name, (f, colour)) in enumerate(lines.items()):
        heights = [(second, 10 + CHART * (1 - counts[f][second] / top)) for second in range(int(seconds) + 1)]
        points = " ".join(f"{_x(second, seconds)},{height:.1f}" for second, height in heights)
        yield f'<polyline points="{points}" fill="none" stroke="{colour}"/>'
        yield f'<text x="5" y="{40 + 16 * number}" style="fill:{colour}">{name}</text>'


def _axis(seconds: float, height: int) -> Iterator[str]:
    step = max(10, round(seconds / 12, -1))
    for mark in range(0, int(seconds) + 1, int(step)):
        yield f'<text x="{_x(mark, seconds)}" y="{height - 8}">{mark} s</text>'
