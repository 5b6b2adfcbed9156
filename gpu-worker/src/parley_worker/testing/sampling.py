"""Settings that tests begin from."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from parley_worker.scheduler.request import Sampling

PLAIN: Final = Sampling(temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0, seed=0)
GREEDY: Final = replace(PLAIN, temperature=0.0)
