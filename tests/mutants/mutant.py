"""What is taken away, and which test has to notice."""

from __future__ import annotations

from dataclasses import dataclass


class Outdated(ValueError):
    """The guard's text is not in its file, or more than once: the catalogue has to follow the code."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """guard: what holds `promise`, in words. old is replaced by new in `file`; `tests`: arguments of pytest.

    servers: those of the real servers that the tests need. chaos: the test is the fault harness, which takes minutes.
    """

    promise: str
    guard: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    servers: tuple[str, ...] = ()
    chaos: bool = False

    def apply(self, text: str) -> str:
        """The file without the guard. Raises Outdated."""
        if text.count(self.old) != 1:
            raise Outdated(f"{self.guard}: {self.file} has its text {text.count(self.old)} times:\n{self.old}")
        return text.replace(self.old, self.new)
