"""Decoders of real shapes with random weights, made on the device; what the hardware allows them."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from parley_worker.models.config import ModelConfig, read_model_config
from parley_worker.models.decoder import Decoder, DecoderWeights, Layer, Linear

QWEN3_06B: dict[str, Any] = {
    "model_type": "qwen3",
    "architectures": ["Qwen3ForCausalLM"],
    "vocab_size": 151936,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "tie_word_embeddings": True,
}
LLAMA_8B: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 5e5,
    "tie_word_embeddings": False,
}


def random_decoder(shape: dict[str, Any]) -> Decoder:
    """A decoder of this config.json in bfloat16."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(shape))
        config = read_model_config(Path(folder))
    hidden, heads, kv_heads = config.hidden_size, config.heads * config.head_dim, config.kv_heads * config.head_dim
    ones = torch.ones(hidden, device="cuda", dtype=torch.bfloat16)
    layers = tuple(
        Layer(
            attention_norm=ones,
            qkv=_linear(hidden, heads + 2 * kv_heads),
            qk_norm=ones.new_ones(config.heads + config.kv_heads, config.head_dim) if config.qk_norm else None,
            output=_linear(heads, hidden),
            mlp_norm=ones,
            gate_up=_linear(hidden, 2 * config.intermediate_size),
            down=_linear(config.intermediate_size, hidden),
        )
        for _ in range(config.layers)
    )
    head = _linear(hidden, config.vocab_size)
    embedding = head.weight.t() if config.tied_embeddings else torch.randn_like(head.weight.t())
    return Decoder(config, DecoderWeights(embedding, layers, ones, head))


def _linear(inputs: int, outputs: int) -> Linear:
    return Linear(torch.randn(inputs, outputs, device="cuda", dtype=torch.bfloat16) * inputs**-0.5, None)


@dataclass(frozen=True, slots=True)
class Roofline:
    """bandwidth: bytes a second by the data sheet. flops: a second, as a large product reaches them."""

    bandwidth: float
    flops: float

    @classmethod
    def measure(cls) -> Roofline:
        properties = torch.cuda.get_device_properties(0)
        # Two transfers a clock.
        bandwidth = 2e3 * properties.memory_clock_rate * properties.memory_bus_width / 8
        square = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
        return cls(bandwidth, 2 * 8192**3 / time_calls(lambda: square @ square, 10))

    def decode_seconds(self, config: ModelConfig, weight_bytes: float, lengths: list[int]) -> float:
        """The least that a step of one row each for sequences of these lengths takes: weights and KV read once."""
        kv = sum(lengths) * config.kv_bytes_per_token(2)
        return (weight_bytes * config.parameters + kv) / self.bandwidth

    def workload_seconds(self, config: ModelConfig, prompts: list[int], outputs: list[int]) -> float:
        """The least that prompts, and answers decoded all at once, take. Formulas: docs/performance.md."""
        layers = config.parameters - config.vocab_size * config.hidden_size
        attention = 2 * config.layers * config.heads * config.head_dim
        prefill = sum(2 * layers * tokens + attention * tokens**2 for tokens in prompts) / self.flops
        steps = range(1, max(outputs))
        decode = sum(
            self.decode_seconds(config, 2, [p + step for p, o in zip(prompts, outputs, strict=True) if o > step])
            for step in steps
        )
        return prefill + decode


def time_calls(call: Any, count: int) -> float:
    """Seconds a call takes, the mean of `count` after three to warm up."""
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(count):
        call()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / count
