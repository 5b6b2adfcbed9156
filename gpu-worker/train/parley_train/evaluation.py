"""Questions that show what the model knows, and its answers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from tokenizers import Tokenizer

from parley_train.dialogue import Dialogue
from parley_train.model import Llama
from parley_train.tokenizer import END, ROLES, WINDOW, control_id, encode

Questions = tuple[tuple[str, ...], ...]

QUESTIONS: Questions = (
    ("Hello!",),
    ("hi",),
    ("How are you?", "I am fine, thanks."),
    ("Who are you?",),
    ("What can you do?",),
    ("My name is Clara.", "What is an island?", "What is my name?"),
    ("What does lantern mean?", "What is another word for happy?"),
    ("define wander",),
    ("What is a lighthouse?",),
    ("what does brave mean?", "What is the opposite of it?"),
    ("Use dream in a sentence.",),
    ("What is the opposite of cold?",),
    ("What is an elephant?", "And a whale?"),
    ("What is gravity?",),
    ("Meaning of courage?", "Can you use it in a sentence?"),
    ("What does zorble mean?",),
    ("What is the capital of France?",),
    ("What is 17 plus 25?",),
    ("Write a Python function that sorts a list.",),
    ("What is the weather like in Berlin?",),
    ("Who won the world cup?",),
    ("Tell me a joke.", "Thank you!", "Goodbye!"),
    ("I am sad today.",),
    ("Are you human?",),
    ("What is love?",),
    ("What is the internet?",),
    ("How many days are in a week?",),
)


def answers(model: Llama, tokenizer: Tokenizer, questions: Questions = QUESTIONS) -> Iterator[tuple[str, str]]:
    """(question, most likely answer), turn by turn, each conversation with its own history."""
    user, assistant, end = (control_id(tokenizer, token) for token in (ROLES["user"], ROLES["assistant"], END))
    for conversation in questions:
        history: list[int] = []
        for question in conversation:
            history += [user, *tokenizer.encode(question).ids, end, assistant]
            answer = _greedy(model, history, end)
            history += answer
            yield question, tokenizer.decode(answer)


@torch.no_grad()
def recites(model: Llama, tokenizer: Tokenizer, dialogue: Dialogue) -> bool:
    """Whether the most likely answers, token by token, are those of the dialogue."""
    ids, learnt, _ = encode(tokenizer, dialogue, WINDOW)
    tokens = torch.tensor([ids])
    best = model.logits(_hidden(model, tokens)[0, :-1]).argmax(-1)
    return bool((best == tokens[0, 1:])[torch.tensor(learnt[1:])].all())


@torch.no_grad()
def _greedy(model: Llama, prompt: list[int], end: int, longest: int = 60) -> list[int]:
    ids = list(prompt)
    while len(ids) < len(prompt) + longest and (len(ids) == len(prompt) or ids[-1] != end):
        ids.append(int(model.logits(_hidden(model, torch.tensor([ids]))[0, -1]).argmax()))
    return ids[len(prompt) :]


def _hidden(model: Llama, tokens: torch.Tensor) -> torch.Tensor:
    length = tokens.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    return model.hidden(tokens, torch.arange(length)[None], causal)
