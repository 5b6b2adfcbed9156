"""The port between the worker and whatever makes tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from parley_worker.core import Chunk, Job, ModelInfo


class Backend(Protocol):
    """A model, ready to answer. Backends are opened by async context managers in their own modules.

    generate() streams the answer to a job and ends after the chunk that has a finish_reason. Guarantees:
    - Text is whole code points and never holds a stop string or a special token; concatenated it is the answer.
    - With `job.resume` the answer goes on right after that prefix: the first chunk's text follows resume.text, and a
      greedy or seeded answer is what it would have been without the interruption.
    - A conversation that leaves the answer no room in the window is cut, as `parley_worker.window` says.
    - Closing the iterator (`aclose`) frees the slot within the next step. Nothing is left behind.
    - Up to `model.capacity` jobs at once share each step; more wait in order of arrival.
    Errors: `parley_kit.errors.BadInput` for a job that can never be served (a prompt that cannot be cut, parameters
    out of range); `Unavailable` when the engine died, as the job may then be tried elsewhere; `DeadlineExceeded` where
    the backend itself ended a job at its deadline; `Internal` when the model failed on this job alone.
    """

    @property
    def model(self) -> ModelInfo: ...

    @property
    def ready(self) -> bool:
        """Whether a job would be taken now; false while the engine restarts."""
        ...

    def generate(self, job: Job) -> AsyncGenerator[Chunk]: ...
