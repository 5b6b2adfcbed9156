"""The loss curve as a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from parley_train.trainer import Progress

_SMOOTHING = 25


def draw(progress: Progress, path: Path) -> None:
    """Writes a PNG of the training loss, its moving average, and the held-out loss."""
    matplotlib.use("agg")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    steps, losses = np.array(progress.training).T
    axes.plot(steps, losses, color="#9db7d5", linewidth=0.6, label="training, each step")
    window = min(_SMOOTHING, len(losses))
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    axes.plot(steps[window - 1 :], smooth, color="#1f5fa8", linewidth=1.4, label=f"training, mean of {window} steps")
    held = np.array(progress.held_out)
    axes.plot(held[:, 0], held[:, 1], color="#d1495b", marker="o", markersize=3, label="held out")
    axes.set(xlabel="step", ylabel="cross-entropy per answer token (nats)", yscale="log")
    axes.set_title("parley-small: training loss")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=110)
