"""Products in int8: what is rounded and how, and what it costs the bundled model."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from parley_worker.engine.torch_executor import TorchExecutor
from parley_worker.models import weights as weights_module
from parley_worker.models.errors import CheckpointError
from parley_worker.models.loader import load_model
from parley_worker.models.quantized import QuantizedLinear, quantize
from parley_worker.settings import BUNDLED_MODEL
from parley_worker.testing.dialogues import encode_dialogues
from parley_worker.testing.segments import Blocks, make_batch
from parley_worker.text.tokenizer import TextTokenizer

CPU = torch.device("cpu")


def test_the_largest_is_127_and_halves_go_to_even() -> None:
    codes, scales = quantize(torch.tensor([[127.0, 0.5, 1.5, -2.5, 0.49], [-254.0, 1.0, 3.0, 2.0, 0.0]]))
    assert codes.tolist() == [[127, 0, 2, -2, 0], [-127, 0, 2, 1, 0]]
    assert scales.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("largest", [3e38, 1.0, 1e-30, 2e-36])
def test_no_number_is_further_off_than_half_a_step(largest: float) -> None:
    rows = torch.rand(20, 100, generator=torch.Generator().manual_seed(1)) * 2 - 1
    rows = rows / rows.abs().amax(dim=1, keepdim=True) * largest
    codes, scales = quantize(rows)
    assert codes.abs().amax(dim=1).tolist() == [127] * 20
    off = (codes.double() * scales.double().unsqueeze(1) - rows.double()).abs()
    assert (off <= 0.50001 * scales.double().unsqueeze(1)).all()


def test_a_row_of_nothing_is_nothing() -> None:
    for number in (0.0, 1e-40, -1e-37):
        codes, scales = quantize(torch.full((1, 8), number))
        assert (codes.float() * scales).tolist() == [[0.0] * 8]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_gives_no_finite_number_and_spoils_no_other(bad: float) -> None:
    rows = torch.randn(3, 40, generator=torch.Generator().manual_seed(2))
    linear = make_linear(40, 9)
    expected = linear(rows)
    rows[1, 7] = bad
    found = linear(rows)
    assert not torch.isfinite(found[1]).any()
    assert torch.equal(found[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("count", [1, 2, 17, 33])
@pytest.mark.parametrize(("inputs", "outputs"), [(48, 80), (7, 5), (129, 301)])
@pytest.mark.parametrize("bias", [False, True])
def test_sums_are_exact_and_rows_alone(count: int, inputs: int, outputs: int, bias: bool) -> None:
    linear = make_linear(inputs, outputs, bias=bias)
    rows = torch.randn(count, inputs, generator=torch.Generator().manual_seed(count))
    codes, scales = quantize(rows)
    sums = codes.long() @ linear.codes.long().t()
    expected = sums.float() * scales.unsqueeze(1) * linear.scales + (0 if linear.bias is None else linear.bias)
    assert torch.equal(linear(rows), expected)
    assert torch.equal(linear(rows[-1:]), expected[-1:])
    residual = torch.randn(count, outputs)
    assert torch.equal(linear.add_to(residual, rows), expected + residual)


def make_linear(inputs: int, outputs: int, *, bias: bool = False) -> QuantizedLinear:
    generator = torch.Generator().manual_seed(inputs * outputs)
    codes, scales = quantize(torch.randn(outputs, inputs, generator=generator))
    return QuantizedLinear(codes, scales, torch.randn(outputs, generator=generator) if bias else None)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("file_dtype", [torch.float32, torch.bfloat16])
def test_matrices_are_quantized_by_their_outputs_and_the_embedding_stays_as_it_is(
    new_checkpoint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tied: bool, file_dtype: torch.dtype
) -> None:
    folder = new_checkpoint(tie_word_embeddings=tied, file_dtype=file_dtype)
    monkeypatch.setattr(weights_module, "_BLOCK_ELEMENTS", 100)  # in many pieces
    model = load_model(folder, torch.float32, CPU, int8=True)
    tensors = load_file(folder / "model.safetensors")
    assert model.dtype is torch.float32
    assert torch.equal(model.weights.embedding, tensors["model.embed_tokens.weight"])
    assert model.weights.embedding.dtype is file_dtype
    attention = [tensors[f"model.layers.1.self_attn.{name}_proj.weight"] for name in "qkv"]
    assert_quantized(model.weights.layers[1].qkv, torch.cat(attention))
    assert_quantized(model.weights.layers[0].down, tensors["model.layers.0.mlp.down_proj.weight"])
    assert_quantized(model.weights.head, tensors["model.embed_tokens.weight" if tied else "lm_head.weight"])


@pytest.mark.parametrize("name", ["model.embed_tokens.weight", "model.layers.1.mlp.down_proj.weight", "lm_head.weight"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(folder: Path, name: str, bad: float) -> None:
    weights = load_file(folder / "model.safetensors")
    weights[name][-1, -1] = bad
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"{name} holds values that are not finite"):
        load_model(folder, torch.float32, CPU, int8=True)


def assert_quantized(linear: object, weight: Tensor) -> None:
    assert isinstance(linear, QuantizedLinear)
    codes, scales = quantize(weight.float())
    assert torch.equal(linear.codes, codes)
    assert torch.equal(linear.scales, scales)


def test_int8_costs_the_bundled_model_next_to_nothing() -> None:
    """Measured: a mean divergence of 0.0015 nats, and a perplexity of 12.77 where float32 has 12.75."""
    texts = encode_dialogues(TextTokenizer(BUNDLED_MODEL))
    exact, rounded = (log_probabilities(texts, int8=int8) for int8 in (False, True))
    divergence = torch.cat([(p.exp() * (p - q)).sum(dim=-1) for p, q in zip(exact, rounded, strict=True)])
    assert 0 < divergence.mean() < 0.003
    assert abs(perplexity(texts, rounded) / perplexity(texts, exact) - 1) < 0.005


def log_probabilities(texts: list[tuple[int, ...]], *, int8: bool) -> list[Tensor]:
    executor = TorchExecutor(load_model(BUNDLED_MODEL, torch.float32, CPU, int8=int8), blocks=8)
    return [
        executor.execute(make_batch([Blocks(8).text(tokens).part()])).double().log_softmax(dim=-1) for tokens in texts
    ]


def perplexity(texts: list[tuple[int, ...]], predicted: list[Tensor]) -> float:
    """Over all tokens but the first of each text."""
    losses = [
        -rows[:-1].gather(1, torch.tensor([tokens[1:]]).t()) for rows, tokens in zip(predicted, texts, strict=True)
    ]
    return math.exp(torch.cat(losses).mean())
