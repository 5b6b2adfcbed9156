"""The tokenizer: byte-level BPE with one control token a role, and the chat template that goes with it."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from parley_train.dialogue import Dialogue

PAD, END = "<|pad|>", "<|end|>"
ROLES = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
CONTROL_TOKENS = (PAD, *ROLES.values(), END)
WINDOW = 1024

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] not in ['system', 'user', 'assistant'] -%}"
    "{{- raise_exception('role must be system, user or assistant') -}}"
    "{%- endif -%}"
    "{{- '<|' + message['role'] + '|>' + message['content'] | trim + '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A tokenizer that can spell any text; control tokens get the first ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, dialogue: Dialogue, limit: int) -> tuple[list[int], list[bool], list[int]]:
    """Token ids as the chat template makes them, which of them are learnt, and the number of the turn of each.

    What the assistant says is learnt, with its end. Turns from the one that would pass `limit` tokens on are left out.
    """
    ids: list[int] = []
    learnt: list[bool] = []
    turns: list[int] = []
    end = control_id(tokenizer, END)
    for number, turn in enumerate(dialogue.turns):
        body = [*tokenizer.encode(turn.content).ids, end]
        if len(ids) + 1 + len(body) > limit:
            break
        ids += [control_id(tokenizer, ROLES[turn.role]), *body]
        learnt += [False] + [turn.role == "assistant"] * len(body)
        turns += [number] * (1 + len(body))
    return ids, learnt, turns


def control_id(tokenizer: Tokenizer, token: str) -> int:
    """Id of a control token; KeyError for a tokenizer that has none."""
    number = tokenizer.token_to_id(token)
    if number is None:
        raise KeyError(token)
    return number


def hugging_face_config() -> dict[str, object]:
    """Content of tokenizer_config.json, readable by transformers 4 and 5."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": END,
        "pad_token": PAD,
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
        "model_max_length": WINDOW,
        "chat_template": CHAT_TEMPLATE,
    }
