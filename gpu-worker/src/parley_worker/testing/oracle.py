"""What transformers makes of a checkpoint, to compare with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM


class Oracle:
    """transformers' own answers from a folder, in float32."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._model: Any = self._load()
        parameters = getattr(self._model.config, "rope_parameters", None) or {}
        # A model with dynamic rope goes on with the frequencies of the longest sequence that it has met.
        self._remembers = parameters.get("rope_type") == "dynamic"

    def answer(self, prompt: Iterable[int], max_tokens: int, *, eos: int | None = None, **settings: Any) -> list[int]:
        """The greedy answer to a prompt. settings: of generate."""
        ids = torch.tensor([list(prompt)])
        answer = self._fresh().generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=max_tokens,
            eos_token_id=eos,
            pad_token_id=0,
            **settings,
        )
        return [int(token) for token in answer[0, ids.shape[1] :]]

    @torch.no_grad()
    def scores(self, tokens: Iterable[int]) -> Tensor:
        """The scores [tokens, vocab_size] after each token, all of them computed at once."""
        scores: Tensor = self._fresh()(torch.tensor([list(tokens)])).logits[0]
        return scores

    def _fresh(self) -> Any:
        if self._remembers:
            self._model = self._load()
        return self._model

    def _load(self) -> Any:
        return AutoModelForCausalLM.from_pretrained(self._folder, dtype=torch.float32)
