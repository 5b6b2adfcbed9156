"""A checkpoint folder becomes a model."""

from __future__ import annotations

from pathlib import Path

import torch

from parley_worker.models.config import ModelConfig, read_model_config
from parley_worker.models.llama import Llama
from parley_worker.models.weights import Weights

_MODELS = {"LlamaForCausalLM": Llama}


def load_model(folder: Path, dtype: torch.dtype, device: torch.device) -> Llama:
    """Load the model in `folder`. Raises CheckpointError, naming the file or the key, if it cannot be served."""
    config: ModelConfig = read_model_config(folder)
    with Weights(folder, dtype, device) as weights:
        return _MODELS[config.architecture](config, weights)
