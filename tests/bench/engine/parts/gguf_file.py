"""Writes a Hugging Face folder as a GGUF file: `python gguf_file.py FOLDER f32|bf16|q8_0 FILE`.

Runs in the environment of the peers, which has gguf but neither torch nor safetensors: the weights are read by hand,
all of them bfloat16. Vectors stay float32, as llama.cpp's own converter leaves them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gguf import MODEL_ARCH, GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, get_tensor_name_map
from gguf.quants import quantize

KINDS = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "bf16": (GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}
ARCHITECTURES = {"llama": MODEL_ARCH.LLAMA, "qwen3": MODEL_ARCH.QWEN3}


def main(folder: Path, kind: str, target: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    quantization, file_type = KINDS[kind]
    writer = GGUFWriter(target, config["model_type"])
    writer.add_file_type(file_type)
    add_shape(writer, config)
    add_vocabulary(writer, json.loads((folder / "tokenizer.json").read_text()), config["eos_token_id"])
    names = get_tensor_name_map(ARCHITECTURES[config["model_type"]], config["num_hidden_layers"])
    for name, tensor in read_tensors(folder / "model.safetensors"):
        stored = names.get_name(name, try_suffixes=(".weight", ".bias"))
        matrix = tensor.ndim == 2
        data = arrange(name, tensor, config)
        used = quantization if matrix else GGMLQuantizationType.F32
        writer.add_tensor(stored, quantize(data, used) if matrix else data, raw_dtype=used)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_shape(writer: GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])


def add_vocabulary(writer: GGUFWriter, tokenizer: dict[str, Any], eos: int) -> None:
    special = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    tokens = {index: token for token, index in tokenizer["model"]["vocab"].items()} | special
    ordered = [tokens[index] for index in range(len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(ordered)
    writer.add_token_types(
        [TokenType.CONTROL if index in special else TokenType.NORMAL for index in range(len(tokens))]
    )
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(eos)
    writer.add_add_bos_token(False)


def read_tensors(path: Path) -> Iterator[tuple[str, Any]]:
    """Name and float32 copy of each tensor: a safetensors file is a length, a JSON header and the bytes."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    data = np.memmap(path, np.uint8, "r", 8 + length)
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = data[begin:end].view(np.uint16).astype(np.uint32) << 16
        yield name, raw.view(np.float32).reshape(entry["shape"])


def arrange(name: str, tensor: Any, config: dict[str, Any]) -> Any:
    """llama.cpp turns neighbouring pairs in its llama architecture, transformers the two halves of a head."""
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    part = name.split(".")[-2]
    if config["model_type"] != "llama" or part not in heads:
        return tensor
    halves = tensor.reshape(heads[part], 2, tensor.shape[0] // heads[part] // 2, *tensor.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(tensor.shape))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
