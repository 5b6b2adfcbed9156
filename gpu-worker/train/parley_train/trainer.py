"""The training loop: seeded, resumable, on bf16 arithmetic over fp32 weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from parley_train.model import Llama, ModelShape
from parley_train.packing import Batch, Rows


@dataclass(frozen=True)
class Recipe:
    """What decides the weights, beside the corpus: two runs with the same recipe on the same machine are equal."""

    shape: ModelShape = field(default_factory=ModelShape)
    steps: int = 1500
    rows_per_step: int = 16
    matrix_rate: float = 0.02
    other_rate: float = 3e-3
    warm_up: int = 60
    decay: float = 0.4
    seed: int = 1
    evaluate_every: int = 100
    save_every: int = 100

    def rate_factor(self, step: int) -> float:
        """Share of the peak rate: linear warm-up, a plateau, then a linear fall over the last `decay` of the steps."""
        falling = (self.steps - step) / max(1.0, self.steps * self.decay)
        return max(0.0, min(1.0, (step + 1) / max(1, self.warm_up), falling))


@dataclass
class Progress:
    """Steps done, and the losses on the way: (step, training loss) and (step, held-out loss, held-out accuracy)."""

    step: int = 0
    training: list[tuple[int, float]] = field(default_factory=list)
    held_out: list[tuple[int, float, float]] = field(default_factory=list)


class Trainer:
    """Trains one model; `run` goes on from the checkpoint in the folder when there is one."""

    def __init__(self, recipe: Recipe, rows: Rows, held_out: Rows, folder: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.progress = Progress()
        self.model = Llama(recipe.shape)
        self._rows, self._held_out = rows, held_out
        self._file = folder / "checkpoint.pt"
        matrices = [p for p in self.model.model.layers.parameters() if p.ndim == 2]
        others = [self.model.model.embed_tokens.weight, *(p for p in self.model.parameters() if p.ndim == 1)]
        self._optimizers: list[tuple[torch.optim.Optimizer, float]] = [
            (torch.optim.Muon(matrices, lr=recipe.matrix_rate, weight_decay=0.01), recipe.matrix_rate),
            (torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.95), weight_decay=0.0), recipe.other_rate),
        ]
        if self._file.is_file():
            self._restore()

    def run(self, report: Callable[[Progress], None]) -> Llama:
        """Trains to the recipe's last step; calls `report` after every step."""
        while self.progress.step < self.recipe.steps:
            self.progress.training.append((self.progress.step, self._step(self.progress.step)))
            self.progress.step += 1
            last = self.progress.step == self.recipe.steps
            if last or self.progress.step % self.recipe.evaluate_every == 0:
                self.progress.held_out.append((self.progress.step, *self.evaluate(self._held_out)))
            if last or self.progress.step % self.recipe.save_every == 0:
                self._save()
            report(self.progress)
        return self.model

    def _step(self, step: int) -> float:
        loss = functional.cross_entropy(*self._scores(self._rows.batch(self._chosen(step))))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, rate in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * self.recipe.rate_factor(step)
            optimizer.step()
            optimizer.zero_grad()
        return loss.item()

    def _chosen(self, step: int) -> NDArray[np.int64]:
        """Rows of a step: every epoch is another permutation, drawn from the seed and the epoch alone."""
        per_epoch = len(self._rows) // self.recipe.rows_per_step
        order = np.random.default_rng([self.recipe.seed, step // per_epoch]).permutation(len(self._rows))
        first = step % per_epoch * self.recipe.rows_per_step
        return order[first : first + self.recipe.rows_per_step]

    def _scores(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Scores at the places that are learnt, and the right tokens there."""
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.model.hidden(batch.ids, batch.positions, batch.mask)
            return self.model.logits(hidden[batch.learnt]).float(), batch.targets

    @torch.no_grad()
    def evaluate(self, rows: Rows) -> tuple[float, float]:
        """Mean loss over the learnt tokens of these rows, and the share of them that the model ranks first."""
        loss, right, count = 0.0, 0, 0
        for first in range(0, len(rows), 16):
            scores, targets = self._scores(rows.batch(np.arange(first, min(first + 16, len(rows)))))
            loss += functional.cross_entropy(scores, targets, reduction="sum").item()
            right += int((scores.argmax(-1) == targets).sum())
            count += len(targets)
        return loss / count, right / count

    def _save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer, _ in self._optimizers],
            "progress": asdict(self.progress),
        }
        fresh = self._file.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self._file)

    def _restore(self) -> None:
        state = torch.load(self._file, weights_only=True)
        self.model.load_state_dict(state["model"])
        for (optimizer, _), saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.progress = Progress(**state["progress"])
