"""A byte-level tokenizer of any size: the 256 bytes, invented words that no text becomes, and what a chat needs."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SPECIAL = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|' ~ message.role ~ '|>' ~ message.content ~ '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def write_tokenizer(folder: Path, size: int) -> int:
    """Write tokenizer.json and tokenizer_config.json with `size` tokens; the id of the end of a turn."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [_word(number) for number in range(size - len(alphabet) - len(SPECIAL) - 1)]
    vocabulary = {token: index for index, token in enumerate([*alphabet, "he", *words])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("h", "e")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE, "eos_token": SPECIAL[-1]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return int(tokenizer.token_to_id(SPECIAL[-1]))


def _word(number: int) -> str:
    """A word of its own for each number, with the mark that stands for the space before it."""
    letters = ""
    for _ in range(4):
        number, letter = divmod(number, len(_LETTERS))
        letters += _LETTERS[letter]
    return f"Ġ{letters}"
