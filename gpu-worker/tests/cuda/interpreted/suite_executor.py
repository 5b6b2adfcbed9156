"""The executor without graphs, on one small model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from msgspec import structs

from parley_worker.cuda.attention import Tiling
from parley_worker.cuda.executor import CudaExecutor, Limits
from parley_worker.cuda.narrow import narrow
from parley_worker.models.decoder import Decoder
from parley_worker.models.loader import load_model
from parley_worker.testing.checkpoints import write_checkpoint
from parley_worker.testing.segments import Blocks, Text, make_batch, make_tokens

BLOCKS = 16


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    folder = write_checkpoint(tmp_path_factory.mktemp("model"), num_hidden_layers=1)
    return load_model(folder, torch.float32, torch.device("cpu"))


def new_executor(model: Decoder) -> CudaExecutor:
    executor = CudaExecutor(model, BLOCKS, Limits(4, 64, 160), tiling=Tiling(8, 16, 16, 32), graphs=False)
    for part in (executor.cache.keys, executor.cache.values):
        part.fill_(torch.nan)
    return executor


@pytest.fixture
def executor(model: Decoder) -> CudaExecutor:
    return new_executor(model)


@pytest.fixture
def text() -> Text:
    return Blocks(BLOCKS).text(make_tokens(40, seed=1))


def test_in_chunks(executor: CudaExecutor, text: Text) -> None:
    executor.capture()  # leaves no trace
    expected = executor.execute(make_batch([text.part()]))
    parts = [executor.execute(make_batch([part])) for part in text.cut([15, 2, 1, 16])]
    torch.testing.assert_close(torch.cat(parts), expected, atol=1e-4, rtol=1e-4)


def test_segments_in_any_order(executor: CudaExecutor) -> None:
    """Also with a prompt before a segment of one row."""
    blocks = Blocks(BLOCKS)
    one, other = blocks.text(make_tokens(33, seed=2)), blocks.text(make_tokens(20, seed=3))
    expected = torch.cat([executor.execute(make_batch([each.part()]))[-1:] for each in (one, other)])
    executor.execute(make_batch([one.part(0, 32), other.part(0, 5)]))
    parts = [other.part(5, draws=(19,)), one.part(32)]
    torch.testing.assert_close(executor.execute(make_batch(parts)), expected.flip(0), atol=1e-4, rtol=1e-4)


def test_a_step_of_nothing(executor: CudaExecutor, text: Text) -> None:
    assert executor.execute(make_batch([text.part(draws=())])).shape == (0, executor.vocab_size)
    none = np.zeros(0, dtype=np.int64)
    nothing = structs.replace(make_batch([text.part()]), tokens=none, positions=none, lengths=none, draws=none)
    assert executor.execute(nothing).shape == (0, executor.vocab_size)


def test_tokens_of_the_step_before(model: Decoder, text: Text) -> None:
    """A step that names the drawn tokens is the step that has them."""
    executor = new_executor(model)
    drawn = executor.execute(make_batch([text.part(0, 39, draws=(20, 38))])).argmax(-1)
    executor.remember(drawn)
    second = make_batch([text.part(39)])
    for draw in (0, 1):
        known = executor.execute(structs.replace(second, tokens=drawn[draw : draw + 1].numpy()))
        assert torch.equal(executor.execute(structs.replace(second, tokens=np.array([-1 - draw]))), known)
    assert drawn[0] != drawn[1]


def test_a_token_that_was_not_drawn_is_refused(executor: CudaExecutor, text: Text) -> None:
    second = structs.replace(make_batch([text.part(39)]), tokens=np.array([-2]))
    with pytest.raises(ValueError, match="draw 1 of a step that drew 0 tokens"):
        executor.execute(second)


@pytest.mark.parametrize(("segments", "rows"), [(5, 1), (1, 65)])
def test_a_step_over_the_limits_is_refused(executor: CudaExecutor, segments: int, rows: int) -> None:
    texts = [Text(make_tokens(rows, seed=4), (0, 1, 2, 3, 4)) for _ in range(segments)]
    with pytest.raises(ValueError, match="over the executor's"):
        executor.execute(make_batch([text.part() for text in texts]))


def test_narrow_weights(model: Decoder) -> None:
    """The scores are those of the weights that the narrow ones stand for."""
    batch = make_batch([Blocks(BLOCKS).text(make_tokens(3, seed=5)).part()])
    narrowed = narrow(model, torch.int8)
    scores = new_executor(narrowed).execute(batch)
    torch.testing.assert_close(scores, new_executor(_widen(narrowed)).execute(batch), atol=1e-3, rtol=1e-3)
    wide = new_executor(model).execute(batch)
    assert 0 < (scores - wide).norm() / wide.norm() < 0.05


def _widen(model: Decoder) -> Decoder:
    """The same model with plain weights."""
    layers = tuple(
        replace(layer, **{name: getattr(layer, name).widened() for name in ("qkv", "output", "gate_up", "down")})
        for layer in model.weights.layers
    )
    return Decoder(model.config, replace(model.weights, layers=layers, head=model.weights.head.widened()))
