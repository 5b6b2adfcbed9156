"""Guards of what a reader is told."""

from __future__ import annotations

from mutants.mutant import Mutant

GATEWAY = "services/gateway/src/parley_gateway"

MUTANTS = (
    Mutant(
        "R3",
        "a reader drops what it has had",
        f"{GATEWAY}/answers/cursor.py",
        "rest = delta.text[self._sent - delta.offset :]",
        "rest = delta.text",
        ("services/gateway/tests/test_answers.py",),
    ),
    Mutant(
        "R3",
        "a reader never passes over a gap",
        f"{GATEWAY}/answers/cursor.py",
        """        if delta.offset > self._sent:
            raise Gap
""",
        "",
        ("services/gateway/tests/test_answers.py",),
    ),
    Mutant(
        "R3",
        "a text that was begun anew is told as such",
        f"{GATEWAY}/answers/cursor.py",
        "return began != self._began",
        "return False",
        ("services/gateway/tests/test_answers.py",),
    ),
    Mutant(
        "R3",
        "a reader whose text was lost for good is told so",
        f"{GATEWAY}/answers/reader.py",
        "for restart in cursor.drop(generation.attempt):",
        "for restart in ():",
        ("services/gateway/tests/test_reader.py",),
    ),
)
