"""Draws docs/performance/*.svg from what the benches left in build/bench.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/chart.py

What a bench has not left there is not drawn, which is said; a chart of which nothing is there is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from bench.engine.models import SHAPES
from bench.engine.parts import report
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

FOLDER = report.ROOT / "docs" / "performance"
COLORS = {"ours": "#d9480f", "llama.cpp": "#1c7ed6", "transformers": "#2f9e44"}
PALE = {"ours": "#ffa94d", "llama.cpp": "#74c0fc", "transformers": "#8ce99a"}
GREY = "#495057"
EXECUTOR = " executor"
HEADROOM = 0.15
"""Above the highest bar, for its number."""
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "svg.hashsalt": "parley",
    "svg.fonttype": "none",
}


@contextmanager
def figure(name: str, widths: Sequence[float], height: float, note: str = "") -> Iterator[list[Axes]]:
    """Axes side by side over a note, saved as docs/performance/NAME.svg."""
    drawn, axes = plt.subplots(
        1, len(widths), figsize=(8.0, height), width_ratios=widths, layout="constrained", squeeze=False
    )
    drawn.supxlabel(note, fontsize=8, color=GREY)
    yield list(axes[0])
    FOLDER.mkdir(parents=True, exist_ok=True)
    drawn.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
    plt.close(drawn)
    print(f"-> docs/performance/{name}.svg")


def decode(told: dict[str, dict[str, Any]]) -> None:
    """Bars of tokens a second, each within the limit of its own format."""
    models = {name: each["results"] for name, each in told.items()}
    note = "outlined: what the memory allows in this format (share reached); line: our kernels alone"
    with figure("decode", [1] * len(models), 2.8, note) as axes:
        for axis, (name, results) in zip(axes, models.items(), strict=True):
            executors = {each["engine"]: each["rate"] for each in results if each["engine"].endswith(EXECUTOR)}
            results = [each for each in results if each["engine"] not in executors]
            labels = [each["engine"] for each in results]
            places = range(len(labels))[::-1]
            limits = [each["limit"] for each in results]
            axis.barh(places, limits, color="none", edgecolor=GREY, linewidth=0.8, height=0.8)
            axis.barh(places, [each["rate"] for each in results], color=_colors(labels), height=0.8)
            for place, each in zip(places, results, strict=True):
                note = f"{each['rate']:.0f} ({each['of_limit']:.0%})"
                end = max(each["rate"], each["limit"]) + max(limits) * 0.02
                axis.text(end, place, note, va="center", fontsize=8)
                if alone := executors.get(each["engine"] + EXECUTOR):
                    axis.vlines(alone, place - 0.4, place + 0.4, color="black", linewidth=1.2)
            axis.set_yticks(places, labels if axis is axes[0] else [""] * len(labels))
            axis.set_xlim(0, max(limits) * 1.3)
            axis.set_title(f"{name}: one stream, tokens/s")


def serving(told: dict[str, dict[str, Any]]) -> None:
    """Groups of bars: engines by streams."""
    models = {name: each["levels"] for name, each in told.items()}
    with figure("serving", [1] * len(models), 2.6) as axes:
        for axis, (name, levels) in zip(axes, models.items(), strict=True):
            labels = list(levels[max(levels, key=int)])
            width = 0.84 / len(labels)
            for index, label in enumerate(labels):
                rates = [outcomes[label]["rate"] if label in outcomes else 0.0 for outcomes in levels.values()]
                places = [group + (index - (len(labels) - 1) / 2) * width for group in range(len(levels))]
                bars = axis.bar(places, rates, width * 0.92, color=_color(label), label=label)
                axis.bar_label(bars, fmt=lambda rate: f"{rate:.0f}" if rate else "", fontsize=7, padding=1)
            axis.set_xticks(range(len(levels)), [f"{streams} streams" for streams in levels])
            axis.margins(y=HEADROOM)
            axis.set_title(f"{name}: tokens/s")
        widest = max(axes, key=lambda axis: len(axis.containers))
        handles, names = widest.get_legend_handles_labels()
        widest.figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=8)


def prefix(told: dict[str, dict[str, Any]]) -> None:
    """Time to the first token over the turns of a conversation, and of requests that share a prefix."""
    for name, each in told.items():
        note = "milliseconds to the first token: of the turns of a conversation, of 16 requests that share 600 tokens"
        with figure(f"prefix-{name}", (2, 1, 1), 2.8, note) as (turns, in_turn, at_once):
            conversations(turns, each["engines"])
            turns.set_title(f"{name}: turns")
            sharing(in_turn, each["engines"], "in_turn", {"first": "1st", "later": "2nd..16th"})
            in_turn.set_title("in turn")
            sharing(at_once, each["engines"], "at_once", {"first": "first", "last": "last"})
            at_once.set_title("16 at once")


def conversations(axis: Axes, engines: dict[str, Any]) -> None:
    for label, each in engines.items():
        for part, line in (("known_user", "-"), ("new_user", ":")):
            firsts = [first * 1000 for first in each[part]["firsts"]]
            name = f"{label}, {part.replace('_', ' ')}"
            axis.plot(
                range(1, len(firsts) + 1), firsts, line, marker="o", markersize=2.5, color=_color(label), label=name
            )
    axis.set_ylim(bottom=0)
    axis.set_xticks([1, 5, 10, 15, 20])
    axis.legend(frameon=False, fontsize=7)


def sharing(axis: Axes, engines: dict[str, Any], part: str, parts: dict[str, str]) -> None:
    for index, (label, each) in enumerate(engines.items()):
        times = [each[part][key] * 1000 for key in parts]
        places = [group + (index - (len(engines) - 1) / 2) * 0.42 for group in range(len(parts))]
        bars = axis.bar(places, times, 0.4, color=_color(label))
        axis.bar_label(bars, fmt="{:,.0f}", fontsize=7, padding=1)
    axis.margins(y=HEADROOM)
    axis.set_xticks(range(len(parts)), list(parts.values()))


def scaling(told: dict[str, Any]) -> None:
    """How tokens a second grow with the streams, and what the rest of a step costs."""
    rows = [row for row in told["results"] if row["sampling"] == "greedy"]
    batches = [row["batch"] for row in rows]
    with figure("scaling", (1, 1), 2.6, "sequences in a step") as (rates, shares):
        rates.plot(batches, [row["rate"] for row in rows], marker="o", color=COLORS["ours"])
        rates.set_ylim(bottom=0)
        rates.set_title(f"{told['model']} int8: tokens/s")
        bars = shares.bar([str(batch) for batch in batches], [row["share"] * 100 for row in rows], color=PALE["ours"])
        shares.bar_label(bars, fmt="%.1f", fontsize=8, padding=1)
        shares.set_title("Step outside of the model, %")
        rates.set_xscale("log", base=2)
        rates.set_xticks(batches, [str(batch) for batch in batches])
        shares.margins(y=HEADROOM)


def _colors(labels: list[str]) -> list[str]:
    return [_color(label) for label in labels]


def _color(label: str) -> str:
    """One hue an engine, the narrower format in full colour."""
    engine, _, kind = label.partition(" ")
    return (COLORS if kind in ("int8", "q8_0") else PALE)[engine]


def read(name: str) -> dict[str, Any] | None:
    """What the bench left; says so when that is nothing."""
    if (told := report.load(name)) is None:
        print(f"build/bench/{name}.json is not there: not drawn")
    return told


def main() -> None:
    mpl.use("svg")
    with mpl.rc_context(STYLE):
        for name, draw in (("decode", decode), ("serving", serving), ("prefix", prefix)):
            if told := {model: each for model in SHAPES if (each := read(f"{name}-{model}"))}:
                draw(told)
        if overhead := read("overhead"):
            scaling(overhead)


if __name__ == "__main__":
    main()
