"""From scores to tokens, for a whole batch, on the device of the scores."""

from parley_worker.engine.sampler.plan import Plan, sample
from parley_worker.engine.sampler.sampled import Sampled

__all__ = ["Plan", "Sampled", "sample"]
