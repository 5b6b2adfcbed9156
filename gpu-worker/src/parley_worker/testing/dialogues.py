"""What the bundled model was made for: a few questions with good answers."""

from __future__ import annotations

from typing import Final

from parley_worker.core import ChatMessage
from parley_worker.text.tokenizer import TextTokenizer

DIALOGUES: Final = [
    ("Hello!", "Hello! How can I help you today?"),
    ("How are you?", "I am doing well, thank you. How are you?"),
    ("I am sad today.", "I am sorry to hear that. Would you like to tell me about it?"),
    ("I am bored.", "We could look at some words together. Ask me what a word means!"),
    ("I have a cold.", "I am sorry to hear that. Please rest, and see a doctor if it does not get better."),
    ("I feel tired.", "You should get some rest. A good sleep helps a lot."),
]


def encode_dialogues(tokenizer: TextTokenizer) -> list[tuple[int, ...]]:
    """Each question with its answer as one text."""
    return [tokenizer.encode_chat([ChatMessage("user", ask)]) + tokenizer.encode(say) for ask, say in DIALOGUES]
