"""Detokenising for tokenizers made by SentencePiece: words with a mark for the space, and bytes for what is no word."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# Replace, ByteFallback and Fuse are the decoder of Gemma; with Strip it is that of Llama 2 and Mistral.
_STEPS = (["Replace", "ByteFallback", "Fuse"], ["Replace", "ByteFallback", "Fuse", "Strip"])


@dataclass(frozen=True, slots=True)
class FallbackDecoder:
    """What tokenizer.json says: `mark` means `meaning`, and `stripped` is cut from the beginning `strips` times."""

    mark: str
    meaning: str
    stripped: str
    strips: int

    @classmethod
    def read(cls, decoder: Mapping[str, Any]) -> FallbackDecoder | None:
        """The decoder of a tokenizer.json, if it is one of this kind."""
        steps = decoder.get("decoders") or []
        if [step["type"] for step in steps] not in _STEPS:
            return None
        replace: Mapping[str, Any] = steps[0]
        strip: Mapping[str, Any] = steps[3] if len(steps) == 4 else {"content": " ", "start": 0, "stop": 0}
        if strip["stop"] or "String" not in replace["pattern"]:
            return None
        return cls(replace["pattern"]["String"], replace["content"], strip["content"], strip["start"])

    def piece(self, token: str) -> str | int:
        """The text of a token, or the byte that it is."""
        byte = _BYTE.fullmatch(token)
        return int(byte[1], 16) if byte else token.replace(self.mark, self.meaning)


class FallbackDetokenizer:
    """Holds back a run of bytes until it ends: only then does the tokenizer say whether it is text."""

    def __init__(self, pieces: Mapping[int, str | int], decoder: FallbackDecoder) -> None:
        self._pieces, self._stripped, self._strips = pieces, decoder.stripped, decoder.strips
        self._run = bytearray()

    def push(self, token_id: int) -> str:
        piece = self._pieces.get(token_id)
        if isinstance(piece, str):
            return self._strip(self._end_run() + piece)
        # A token without text, such as a special one, does not end a run.
        if piece is not None:
            self._run.append(piece)
        return ""

    def flush(self) -> str:
        return self._strip(self._end_run())

    def _end_run(self) -> str:
        run, self._run = self._run, bytearray()
        try:
            return run.decode()
        except UnicodeDecodeError:
            return "\ufffd" * len(run)

    def _strip(self, text: str) -> str:
        while self._strips and text.startswith(self._stripped):
            text, self._strips = text[len(self._stripped) :], self._strips - 1
        if text:
            self._strips = 0
        return text
