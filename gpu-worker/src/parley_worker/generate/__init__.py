"""Offline batches: a file of requests becomes a file of answers, on the same engine as the service."""

from parley_worker.generate.batch import generate_file
from parley_worker.generate.progress import open_progress

__all__ = ["generate_file", "open_progress"]
