"""What transformers makes of a checkpoint and of scores, to compare with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from parley_worker.scheduler.request import Sampling


def probabilities(sampling: Sampling, scores: Tensor) -> Tensor:
    """With which each token is drawn from scores [n, vocab], by temperature, top_k, top_p and min_p."""
    warpers = LogitsProcessorList([TemperatureLogitsWarper(sampling.temperature)])
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        warpers.append(MinPLogitsWarper(sampling.min_p))
    kept: Tensor = warpers(torch.LongTensor([[0]] * len(scores)), scores.clone())
    return kept.softmax(dim=-1)


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
