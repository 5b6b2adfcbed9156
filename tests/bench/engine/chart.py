"""Draws docs/performance/*.svg from what the benches left in build/bench.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/chart.py

A chart whose bench has not run is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from bench.engine.models import SHAPES
from bench.engine.parts import report
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

FOLDER = report.ROOT / "docs" / "performance"
COLORS = {"ours": "#d9480f", "llama.cpp": "#1c7ed6", "transformers": "#868e96"}
PALE = {"ours": "#ffa94d", "llama.cpp": "#74c0fc", "transformers": "#ced4da"}
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
def figure(name: str, columns: int, height: float) -> Iterator[list[Axes]]:
    """Axes side by side, saved as docs/performance/NAME.svg."""
    drawn, axes = plt.subplots(1, columns, figsize=(8.0, height), layout="constrained", squeeze=False)
    yield list(axes[0])
    FOLDER.mkdir(parents=True, exist_ok=True)
    drawn.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
    plt.close(drawn)
    print(f"-> docs/performance/{name}.svg")


def decode(told: dict[str, dict[str, Any]]) -> None:
    """Bars of tokens a second, each with the limit of its own format behind it."""
    models = {name: each["results"] for name, each in told.items()}
    with figure("decode", len(models), 2.6) as axes:
        for axis, (name, results) in zip(axes, models.items(), strict=True):
            labels = [each["engine"] for each in results]
            places = range(len(labels))[::-1]
            limits = [each["limit"] for each in results]
            axis.barh(places, limits, color="#e9ecef", height=0.8)
            axis.barh(places, [each["rate"] for each in results], color=_colors(labels), height=0.8)
            for place, each in zip(places, results, strict=True):
                note = f"{each['rate']:.0f} ({each['of_limit']:.0%})"
                end = max(each["rate"], each["limit"]) + max(limits) * 0.02
                axis.text(end, place, note, va="center", fontsize=8)
            axis.set_yticks(places, labels if axis is axes[0] else [""] * len(labels))
            axis.set_xlim(0, max(limits) * 1.3)
            axis.set_title(f"{name}: one stream, tokens/s")
            axis.set_xlabel("grey: what the memory allows in this format")


def serving(told: dict[str, dict[str, Any]]) -> None:
    """Groups of bars: engines by streams."""
    models = {name: each["levels"] for name, each in told.items()}
    with figure("serving", len(models), 2.6) as axes:
        for axis, (name, levels) in zip(axes, models.items(), strict=True):
            labels = list(levels[max(levels, key=int)])
            width = 0.84 / len(labels)
            for index, label in enumerate(labels):
                rates = [outcomes[label]["rate"] if label in outcomes else 0.0 for outcomes in levels.values()]
                places = [group + (index - (len(labels) - 1) / 2) * width for group in range(len(levels))]
                bars = axis.bar(places, rates, width * 0.92, color=_color(label), label=label)
                axis.bar_label(bars, fmt=lambda rate: f"{rate:.0f}" if rate else "", fontsize=7, padding=1)
            axis.set_xticks(range(len(levels)), [f"{streams} streams" for streams in levels])
            axis.set_title(f"{name}: tokens/s")
        axes[-1].legend(
            *axes[0].get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8
        )


def prefix(told: dict[str, Any]) -> None:
    """Time to the first token over the turns of a conversation, and of requests that share a prefix."""
    with figure("prefix", 2, 2.6) as (turns, shared):
        for label, each in told["engines"].items():
            firsts = [first * 1000 for first in each["conversation"]["firsts"]]
            turns.plot(range(1, len(firsts) + 1), firsts, marker="o", markersize=3, color=_color(label), label=label)
        turns.set_ylim(bottom=0)
        turns.set_xticks([1, 5, 10, 15, 20])
        turns.set_xlabel("turn of a conversation")
        turns.set_title("First token, ms")
        turns.legend(frameon=False, fontsize=8)
        engines = told["engines"]
        for index, (label, each) in enumerate(engines.items()):
            times = [each["in_turn"]["first"], each["in_turn"]["later"], each["at_once"]["last"]]
            places = [group + (index - (len(engines) - 1) / 2) * 0.4 for group in range(3)]
            bars = shared.bar(places, [seconds * 1000 for seconds in times], 0.36, color=_color(label), label=label)
            shared.bar_label(bars, fmt="%.0f", fontsize=7, padding=1)
        shared.set_xticks(range(3), ["1st", "2nd..16th\nin turn", "last of 16\nat once"])
        shared.set_title("600 tokens shared: first token, ms")


def scaling(told: dict[str, Any]) -> None:
    """How tokens a second grow with the streams, and what the rest of a step costs."""
    rows = [row for row in told["results"] if row["sampling"] == "greedy"]
    batches = [row["batch"] for row in rows]
    with figure("scaling", 2, 2.4) as (rates, shares):
        rates.plot(batches, [row["rate"] for row in rows], marker="o", color=COLORS["ours"])
        rates.set_ylim(bottom=0)
        rates.set_title(f"{told['model']} int8: tokens/s")
        bars = shares.bar([str(batch) for batch in batches], [row["share"] * 100 for row in rows], color=PALE["ours"])
        shares.bar_label(bars, fmt="%.1f", fontsize=8, padding=1)
        shares.set_title("Step outside of the model, %")
        rates.set_xscale("log", base=2)
        rates.set_xticks(batches, [str(batch) for batch in batches])
        for axis in (rates, shares):
            axis.set_xlabel("sequences in a step")


def _colors(labels: list[str]) -> list[str]:
    return [_color(label) for label in labels]


def _color(label: str) -> str:
    """One hue an engine, the narrower format in full colour."""
    engine, _, kind = label.partition(" ")
    return (COLORS if kind in ("int8", "q8_0") else PALE)[engine]


def main() -> None:
    mpl.use("svg")
    with mpl.rc_context(STYLE):
        for name, draw in (("decode", decode), ("serving", serving)):
            if told := {model: each for model in SHAPES if (each := report.load(f"{name}-{model}"))}:
                draw(told)
        for name, draw in (("prefix", prefix), ("overhead", scaling)):
            if one := report.load(name):
                draw(one)


if __name__ == "__main__":
    main()
