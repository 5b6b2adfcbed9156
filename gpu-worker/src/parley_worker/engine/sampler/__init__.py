"""From scores to tokens, for a whole batch, on the device of the scores."""

from parley_worker.engine.sampler.plan import Plan
from parley_worker.engine.sampler.sampled import Sampled
from parley_worker.engine.sampler.sequences import draw_tokens

__all__ = ["Plan", "Sampled", "draw_tokens"]
