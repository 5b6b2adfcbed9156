"""Milliseconds of CPU time that the torch sampler takes of a step: by batch, vocabulary and settings.

Run: .venv/bin/python tests/bench/engine/sampler.py [--rounds N]. One thread. Each case is told as `plan + sample`: what
the host does before the scores are there, and the draw. The scores are random, peaked as those of a trained model and
flat as those of random weights. The least of the rounds counts: other work on the machine only adds to them.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import torch

from parley_worker.engine.sampler import Plan
from parley_worker.scheduler.counts import TokenCounts
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.request import Sampling
from parley_worker.testing.sampling import GREEDY

PLAIN = replace(GREEDY, temperature=0.8)
CASES = {
    "greedy": [GREEDY],
    "temperature": [PLAIN],
    "top_k 20, top_p 0.95": [replace(PLAIN, top_k=20, top_p=0.95)],
    "top_p 0.9": [replace(PLAIN, top_p=0.9)],
    "min_p 0.05": [replace(PLAIN, min_p=0.05)],
    "mixed": [GREEDY, PLAIN, replace(PLAIN, top_k=20, top_p=0.95), replace(PLAIN, top_p=0.9)],
    "greedy, penalties": [replace(GREEDY, repetition_penalty=1.1, presence_penalty=0.5)],
    "temperature, logprobs 5": [replace(PLAIN, logprobs=5)],
}
VOCABULARIES = (32_000, 151_936)
BATCHES = (1, 8, 64)
SCALES = {"peaked": 4.0, "flat": 0.3}
HISTORY = list(range(1000))


def measure(settings: list[Sampling], logits: torch.Tensor, rounds: int) -> tuple[float, float]:
    """The least milliseconds of a plan and of a draw. A fresh copy each round, as draws overwrite their scores."""
    count, vocab = logits.shape
    planning, drawing = [], []
    counts = [TokenCounts(len(HISTORY) // 2) for _ in range(count)]  # kept from step to step, as by a scheduler
    for index in range(rounds):
        draws = [
            Draw(replace(settings[row % len(settings)], seed=row), index, HISTORY, len(HISTORY) // 2, counts[row])
            for row in range(count)
        ]
        scores = logits.clone()
        start = time.process_time()
        plan = Plan.of(draws, vocab, logits.device)
        planned = time.process_time()
        plan.sample(scores).read()
        planning.append(planned - start)
        drawing.append(time.process_time() - planned)
    return 1000 * min(planning), 1000 * min(drawing)


@torch.inference_mode()
def main(rounds: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for vocab in VOCABULARIES:
        for name, scale in SCALES.items():
            print(f"\nvocabulary {vocab}, {name} scores, ms a step (plan + sample)")
            print(f"{'':26}" + "".join(f"{f'batch {batch}':>16}" for batch in BATCHES))
            for case, settings in CASES.items():
                cells = []
                for batch in BATCHES:
                    plan, sample = measure(settings, torch.randn(batch, vocab) * scale, rounds)
                    cells.append(f"{plan:.2f} + {sample:.2f}")
                print(f"{case:26}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    main(parser.parse_args().rounds)
