"""A folder becomes packed weights: once in memory, each in its place, and nothing in them that is not finite."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from parley_worker.models import weights as weights_module
from parley_worker.models.errors import CheckpointError
from parley_worker.native.library import Arena, Format, Library, Matrix
from parley_worker.native.loader import PackedWeights, load_packed
from parley_worker.testing.checkpoints import write_checkpoint

PEAK = """
import sys
from pathlib import Path
from parley_worker.native.library import Library
from parley_worker.native.loader import load_packed

def bytes_of(key):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024

library = Library()
before = bytes_of("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
weights = load_packed(library, Path(sys.argv[1]), int8=sys.argv[2] == "int8")[1]
print((bytes_of("VmHWM") - before) / weights.bytes, (bytes_of("VmRSS") - before) / weights.bytes)
"""

MAP = """
import resource
import sys
from pathlib import Path
from parley_worker.native.library import Library
from parley_worker.native.loader import load_packed

library, folder = Library(), Path(sys.argv[1])
mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
once = (folder / "model.safetensors").stat().st_size
resource.setrlimit(resource.RLIMIT_AS, (mapped + once * 3 // 2, resource.RLIM_INFINITY))
try:
    load_packed(library, folder, int8=True)
except MemoryError as error:
    print(error)
"""


@pytest.mark.parametrize(("arithmetic", "most"), [("float32", 1.15), ("int8", 1.3)])
def test_loading_takes_the_memory_of_the_weights_once(tmp_path: Path, arithmetic: str, most: float) -> None:
    """Held beside the packed weights, the file would add as much again, or twice as much.

    Pieces and code are megabytes whatever the size: much in a model as small as this.
    """
    folder = write_checkpoint(
        tmp_path / "model",
        hidden_size=1024,
        intermediate_size=2048,
        num_hidden_layers=8,
        num_attention_heads=16,
        num_key_value_heads=8,
        file_dtype=torch.bfloat16,
        shard_size="30MB",
    )
    command = [sys.executable, "-c", PEAK, str(folder), arithmetic]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=50)
    peak, after = map(float, done.stdout.split())
    assert 0.9 < after <= peak <= most


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("file_dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_every_weight_is_in_its_place(
    library: Library,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    int8: bool,
    tied: bool,
    file_dtype: torch.dtype,
) -> None:
    monkeypatch.setattr(weights_module, "_BLOCK_ELEMENTS", 100)  # in many pieces
    folder = write_checkpoint(tmp_path / "model", file_dtype=file_dtype, tie_word_embeddings=tied, attention_bias=True)
    _, packed = load_packed(library, folder, int8=int8)
    tensors = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    kept = {torch.bfloat16: Format.BF16, torch.float16: Format.F16}.get(file_dtype, Format.F32)
    part = "model.layers.1.self_attn."
    attention = [tensors[f"{part}{name}_proj.weight"] for name in "qkv"]
    assert_packed(packed.layers[1].qkv, torch.cat(attention), Format.INT8 if int8 else kept)
    assert_packed(packed.layers[0].down, tensors["model.layers.0.mlp.down_proj.weight"], Format.INT8 if int8 else kept)
    assert torch.equal(packed.layers[1].mlp_norm, tensors["model.layers.1.post_attention_layernorm.weight"])
    assert (packed.embedding is packed.head) == tied
    if not tied:
        assert_packed(packed.head, tensors["lm_head.weight"], Format.INT8 if int8 else kept)
        assert_packed(packed.embedding, tensors["model.embed_tokens.weight"], kept)
    assert packed.bytes == sum(matrix.bytes for matrix in matrices(packed))


def assert_packed(matrix: Matrix, weight: Tensor, kept: Format) -> None:
    assert matrix.format is kept
    found = torch.stack([torch.from_numpy(matrix.unpack(output)) for output in range(len(weight))])
    if kept is not Format.INT8:
        assert torch.equal(found, weight)
        return
    steps = weight.abs().amax(dim=1, keepdim=True) / 127
    assert ((found - weight).abs() <= 0.5001 * steps).all()


def matrices(packed: PackedWeights) -> set[Matrix]:
    layers = [(layer.qkv, layer.output, layer.gate_up, layer.down) for layer in packed.layers]
    return {packed.embedding, packed.head, *(matrix for layer in layers for matrix in layer)}


def test_matrices_of_several_types_side_by_side_are_float32(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", file_dtype=torch.bfloat16)
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.0.self_attn.k_proj.weight"
    save_file({**tensors, name: tensors[name].float() + 1e-6}, folder / "model.safetensors", {"format": "pt"})
    _, packed = load_packed(Library(), folder, int8=False)
    attention = [tensors[f"model.layers.0.self_attn.{letter}_proj.weight"].float() for letter in "qkv"]
    attention[1] += 1e-6
    assert_packed(packed.layers[0].qkv, torch.cat(attention), Format.F32)
    assert packed.layers[1].qkv.format is Format.BF16


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("bad", [math.nan, -math.inf])
@pytest.mark.parametrize("name", ["model.layers.1.mlp.up_proj.weight", "model.norm.weight", "lm_head.weight"])
def test_what_is_not_finite_is_refused(tmp_path: Path, name: str, bad: float, int8: bool) -> None:
    folder = write_checkpoint(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors[name].view(-1)[-1] = bad
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"model\.safetensors: {name} holds values that are not finite"):
        load_packed(Library(), folder, int8=int8)


def test_a_float64_beyond_float32_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", file_dtype=torch.float64)
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"][3, 5] = 1e300
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lm_head\.weight"):
        load_packed(Library(), folder, int8=False)


def test_a_file_that_cannot_be_mapped_is_a_lack_of_memory(tmp_path: Path) -> None:
    """Headers are read from one mapping, tensors from a second one beside it, which is torch's."""
    folder = write_checkpoint(tmp_path / "model", vocab_size=60_000, hidden_size=256, file_dtype=torch.float32)
    done = subprocess.run(
        [sys.executable, "-c", MAP, str(folder)], check=True, capture_output=True, text=True, timeout=50
    )
    assert done.stdout.count("\n") == 1
    assert "unable to mmap" in done.stdout
    assert str(folder) in done.stdout


def test_matrices_refuse_what_does_not_fit() -> None:
    library = Library()
    matrix = Matrix(library, Format.F32, 4, 8)
    for first, rows in (
        (0, torch.zeros(5, 8)),
        (3, torch.zeros(2, 8)),
        (-1, torch.zeros(1, 8)),
        (0, torch.zeros(1, 7)),
    ):
        with pytest.raises(ValueError, match=r"outputs|rows"):
            matrix.fill(first, rows)
    with pytest.raises(ValueError, match="outputs"):
        matrix.fill_bias(0, torch.zeros(5))
    with pytest.raises(IndexError):
        matrix.unpack(4)
    with pytest.raises(ValueError, match="of another type"):
        Matrix(library, Format.BF16, 4, 8).fill(0, torch.zeros(4, 8))
    with pytest.raises(MemoryError):
        Matrix(library, Format.F32, 1 << 50, 1 << 10)


def test_memory_that_is_lacking_while_weights_are_packed_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = Matrix(Library(), Format.F32, 4, 8)
    monkeypatch.setattr(matrix.library.functions, "parley_matrix_fill", lambda *arguments: 4)
    with pytest.raises(MemoryError, match=r"no memory to pack a matrix \[4, 8\]"):
        matrix.fill(0, torch.zeros(4, 8))


def test_matrices_of_one_arena_outlive_it() -> None:
    library = Library()
    arena = Arena(library)
    matrices = [Matrix(library, Format.F32, outputs, 8, arena) for outputs in (1, 40, 33)]
    arena.close()
    for value, matrix in enumerate(matrices):
        matrix.fill(0, torch.full((matrix.outputs, 8), float(value)))
    for value, matrix in enumerate(matrices):
        assert all((matrix.unpack(output) == value).all() for output in range(matrix.outputs))
