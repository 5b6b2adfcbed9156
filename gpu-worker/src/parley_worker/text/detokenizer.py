"""Tokens to text, one by one, in constant time for each."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping
from functools import partial

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from parley_worker.text.answer import Detokenizer
from parley_worker.text.fallback import FallbackDecoder, FallbackDetokenizer


def detokenizers(tokenizer: Tokenizer) -> Callable[[], Detokenizer]:
    """A maker of detokenizers, one for each answer, which leave special tokens out of the text."""
    decoder = json.loads(tokenizer.to_str()).get("decoder") or {}
    if decoder.get("type") == "ByteLevel":
        alphabet = _byte_alphabet()
        table = {index: _to_bytes(text, alphabet) for index, text in _plain_tokens(tokenizer).items()}
        return partial(ByteDetokenizer, table)
    if fallback := FallbackDecoder.read(decoder):
        pieces = {index: fallback.piece(text) for index, text in _plain_tokens(tokenizer).items()}
        return partial(FallbackDetokenizer, pieces, fallback)
    return partial(StreamDetokenizer, tokenizer)


class ByteDetokenizer:
    """For byte-level tokenizers: the bytes of a token are known, and only code points may span tokens."""

    def __init__(self, table: Mapping[int, bytes]) -> None:
        self._table = table
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        return self._decoder.decode(self._table.get(token_id, b""))

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)


class StreamDetokenizer:
    """For every other kind of tokenizer: decodes a short window of tokens again with each new one."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._tokens: list[int] = []
        self._length = 0

    def push(self, token_id: int) -> str:
        self._tokens.append(token_id)
        text = self._stream.step(self._tokenizer, token_id) or ""
        self._length += len(text)
        return text

    def flush(self) -> str:
        return self._tokenizer.decode(self._tokens, skip_special_tokens=True)[self._length :]


def _plain_tokens(tokenizer: Tokenizer) -> dict[int, str]:
    """The tokens by their ids, without the special ones."""
    special = {index for index, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    return {index: text for text, index in vocabulary.items() if index not in special}


def _to_bytes(text: str, alphabet: Mapping[str, int]) -> bytes:
    # A token added later may hold characters outside of the alphabet: then it stands for its own text.
    if all(character in alphabet for character in text):
        return bytes(alphabet[character] for character in text)
    return text.encode()


def _byte_alphabet() -> dict[str, int]:
    """The printable character that byte-level BPE writes for each byte: itself where it prints, else from U+0100 up."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + index): byte for index, byte in enumerate(others)}
