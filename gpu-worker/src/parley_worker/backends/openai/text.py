"""The text of an answer as the server sends it, joined to what readers hold."""

from __future__ import annotations

import codecs
from itertools import takewhile

from parley_worker.text.stops import StopFinder


class ServerText:
    """`push` returns what follows: whole code points, up to a stop string.

    The white space at the end of a resumed text is not shown to the server, whose chat template may take it off; when
    the server makes it again, it is left out.
    """

    def __init__(self, resumed: str, stops: tuple[str, ...]) -> None:
        self._stops = StopFinder(stops)
        self._decoder = codecs.getincrementaldecoder("utf-16-le")(errors="replace")
        self._blank = resumed[len(resumed.rstrip()) :]
        self._repeated = len(resumed) - len(self._stops.push(resumed))

    @property
    def stopped(self) -> bool:
        """Whether a stop string has appeared: the text is complete."""
        return self._stops.found

    def push(self, text: str) -> str:
        # Half of a surrogate pair waits for the other half, or is replaced.
        return self._pass(self._decoder.decode(text.encode("utf-16-le", "surrogatepass")))

    def flush(self) -> str:
        """The rest, once no more text comes. Empty after a stop string."""
        return self._pass(self._decoder.decode(b"", final=True)) + self._new(self._stops.flush())

    def _pass(self, text: str) -> str:
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, self._blank, strict=False)))
        self._blank = self._blank[same:] if same == len(text) else ""
        return self._new(self._stops.push(text[same:]))

    def _new(self, text: str) -> str:
        """Without what readers hold already: it was looked through again for stop strings."""
        known = min(self._repeated, len(text))
        self._repeated -= known
        return text[known:]
