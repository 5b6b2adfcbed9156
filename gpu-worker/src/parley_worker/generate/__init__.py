"""Offline batches: a file of requests becomes a file of answers, on the same engine as the service."""

from parley_worker.generate.batch import generate_file

__all__ = ["generate_file"]
