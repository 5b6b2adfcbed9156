"""Stop strings, found across the borders of tokens."""

from __future__ import annotations


class StopFinder:
    """Passes text through until a stop string has appeared in it.

    Text that may be the beginning of a stop string is held back. Of several that appear at once, the one that
    begins first cuts the text.
    """

    def __init__(self, stops: tuple[str, ...] = ()) -> None:
        self._stops = stops
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """The text that is now sure to come before any stop string. Nothing more once one was found."""
        if self.found or not text:
            return ""
        if not self._stops:
            return text
        self._held += text
        cut = min((at for at in map(self._held.find, self._stops) if at >= 0), default=-1)
        if cut >= 0:
            self.found = True
            return self._release(cut, drop_rest=True)
        return self._release(len(self._held) - self._overlap())

    def flush(self) -> str:
        """What was held back, once it is known that no more text comes."""
        return self._release(len(self._held))

    def _release(self, end: int, *, drop_rest: bool = False) -> str:
        text, self._held = self._held[:end], "" if drop_rest else self._held[end:]
        return text

    def _overlap(self) -> int:
        """The length of the longest end of the held text that begins a stop string."""
        longest = min(max(map(len, self._stops)) - 1, len(self._held))
        ends = (self._held[-length:] for length in range(longest, 0, -1))
        return next((len(end) for end in ends if any(stop.startswith(end) for stop in self._stops)), 0)
