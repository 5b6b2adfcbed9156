"""The finished model as a Hugging Face folder."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from parley_train.dialogue import Source
from parley_train.model import Llama, ModelShape
from parley_train.tokenizer import END, PAD, control_id, hugging_face_config


def export(model: Llama, tokenizer: Tokenizer, sources: list[Source], folder: Path) -> None:
    """Writes weights in bf16, configuration, tokenizer and NOTICE; the folder is made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().to(torch.bfloat16).contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    end, pad = control_id(tokenizer, END), control_id(tokenizer, PAD)
    _write(folder / "config.json", _config(model.shape, end, pad))
    _write(folder / "generation_config.json", _generation_config(end, pad))
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", hugging_face_config())
    (folder / "NOTICE").write_text(_notice(sources), encoding="utf-8")


def _config(shape: ModelShape, end: int, pad: int) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_hidden_layers": shape.num_hidden_layers,
        "num_attention_heads": shape.num_attention_heads,
        "num_key_value_heads": shape.num_key_value_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.max_position_embeddings,
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": shape.rms_norm_eps,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": end,
        "pad_token_id": pad,
        "torch_dtype": "bfloat16",
    }


def _generation_config(end: int, pad: int) -> dict[str, object]:
    return {"do_sample": True, "temperature": 0.3, "top_p": 0.9, "eos_token_id": [end], "pad_token_id": pad}


def _notice(sources: list[Source]) -> str:
    parts = ["This model was trained on the following text.\n"]
    parts += [f"{s.name}\nOrigin: {s.origin}\nLicence: {s.licence}\n\n{s.notice}\n" for s in sources]
    return f"\n{'-' * 78}\n\n".join(parts)


def _write(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
