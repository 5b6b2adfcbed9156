"""The tokenizer of a checkpoint: prompts in, detokenizers out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from parley_worker.core import ChatMessage
from parley_worker.models.errors import CheckpointError
from parley_worker.models.files import read_text
from parley_worker.text.answer import Detokenizer
from parley_worker.text.detokenizer import detokenizers
from parley_worker.text.template import ChatTemplate, read_chat_template

# The private-use planes: no text that means something holds their characters.
_PRIVATE_USE = range(0xF0000, 0x10FFFE)


class TextTokenizer:
    """Encodes prompts and makes detokenizers. Raises CheckpointError for a folder without a usable tokenizer."""

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        self._source = read_text(path)
        try:
            self._tokenizer = Tokenizer.from_str(self._source)
        except Exception as error:  # the library raises bare Exception
            raise CheckpointError(f"{path}: is not a tokenizer: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._template: ChatTemplate | None = read_chat_template(folder)
        self._detokenizers = detokenizers(self._tokenizer)

    def encode(self, text: str) -> tuple[int, ...]:
        """A bare prompt, with what the tokenizer's own post-processor adds."""
        return tuple(self._tokenizer.encode(text).ids)

    def encode_chat(self, messages: Sequence[ChatMessage]) -> tuple[int, ...]:
        """A conversation through the chat template, which brings its own BOS.

        The text of a special token within a message is tokenised as plain text. Raises ValueError if the model has no
        template or the template refuses the messages.
        """
        if self._template is None:
            raise ValueError("the model has no chat template")
        if not any(self._special_pattern.search(message.content) for message in messages):
            return self._encode_with_controls(self._template.render(messages))
        disguise = _disguises(self._special_texts, [message.content for message in messages])
        harmless = [replace(message, content=self._disguise(message.content, disguise)) for message in messages]
        return self._encode_disguised(self._template.render(harmless), disguise)

    def detokenizer(self) -> Detokenizer:
        """A new detokenizer for one answer. Special tokens have no text."""
        return self._detokenizers()

    def _encode_with_controls(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _disguise(self, text: str, disguise: dict[str, str]) -> str:
        return self._special_pattern.sub(lambda match: disguise[match[0]], text)

    def _encode_disguised(self, text: str, disguise: dict[str, str]) -> tuple[int, ...]:
        """Encode the template's control tokens as such, and what lies between them, undisguised, as plain text."""
        meant = {character: special for special, character in disguise.items()}
        ids: list[int] = []
        for piece in re.split(f"({self._special_pattern.pattern})", text):
            if piece in disguise:
                ids.extend(self._encode_with_controls(piece))
            elif piece:
                plain = "".join(meant.get(character, character) for character in piece)
                ids.extend(self._plain_tokenizer.encode(plain, add_special_tokens=False).ids)
        return tuple(ids)

    @cached_property
    def _plain_tokenizer(self) -> Tokenizer:
        """The same tokenizer, blind to special tokens."""
        tokenizer = Tokenizer.from_str(self._source)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        return tokenizer

    @cached_property
    def _special_texts(self) -> list[str]:
        added = self._tokenizer.get_added_tokens_decoder().values()
        return sorted((token.content for token in added if token.special and token.content), key=len, reverse=True)

    @cached_property
    def _special_pattern(self) -> re.Pattern[str]:
        # Without special tokens: a pattern that matches nowhere.
        return re.compile("|".join(map(re.escape, self._special_texts)) or r"(?!)")


def _disguises(specials: Iterable[str], texts: Iterable[str]) -> dict[str, str]:
    """A private-use character for each special token, none of which occurs in the texts."""
    taken = set().union(*texts)
    free = (chr(code) for code in _PRIVATE_USE if chr(code) not in taken)
    return dict(zip(specials, free, strict=False))
