"""config.json: what is honoured, what is refused, and how it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from parley_worker.models.architectures import ARCHITECTURES
from parley_worker.models.config import read_model_config
from parley_worker.models.errors import CheckpointError
from parley_worker.models.rope import RopeConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"architectures": ["GPT2LMHeadModel"]},
            f"architectures 'GPT2LMHeadModel' is not supported; supported: {', '.join(ARCHITECTURES)}",
        ),
        ({"architectures": None, "model_type": "gemma"}, "architectures 'gemma' is not supported"),
        ({"architectures": ["MistralForCausalLM"]}, "model_type 'llama' does not go with MistralForCausalLM"),
        ({"layer_types": ["sliding_attention"] * 2}, "layer_types has sliding_attention"),
        ({"layer_types": ["full_attention"]}, "layer_types must be"),
        ({"layer_types": ["chunked_attention", "full_attention"]}, "layer_types must be"),
        ({"layer_types": [{}, []]}, "layer_types must be"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 2, "rope_theta": 1}}, "rope_theta must be over 1"),
        ({"no_rope_layers": [1, 0]}, "no_rope_layers"),
        ({"rope_interleaved": True}, "rope_interleaved True"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ({"sliding_window": 64}, "sliding_window 64"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
        ({"rope_parameters": {"rope_type": "longrope"}}, "rope_type 'longrope'.*supported: default, linear, dynamic"),
        ({"rope_parameters": None, "rope_scaling": {"type": "mrope"}}, "rope_type 'mrope'"),
        ({"rope_parameters": {"rope_type": "linear"}}, "factor must be a number"),
        ({"rope_parameters": {"rope_type": "yarn", "beta_fast": "32"}}, "beta_fast must be a number"),
        ({"rope_parameters": {"mrope_section": [1, 2]}}, "mrope_section is not supported"),
        (
            {"rope_parameters": {"rope_type": "llama3", "factor": 2, "low_freq_factor": 4, "high_freq_factor": 4}},
            "high_freq_factor must be over low_freq_factor",
        ),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2}, "head_dim": 2}, "head_dim must be at least 4"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"hidden_size": "48"}, "hidden_size must be a whole number"),
        ({"hidden_size": None}, "hidden_size must be a whole number"),
        ({"num_key_value_heads": 3}, "num_key_value_heads must divide"),
        ({"head_dim": 7}, "head_dim must be even"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings must be true or false"),
        ({"eos_token_id": [1, "2"]}, "eos_token_id must be token ids"),
        ({"rms_norm_eps": 0}, "rms_norm_eps must be a number over 0"),
    ],
)
def test_a_config_that_cannot_be_honoured_is_refused_by_key(
    edit: Any, folder: Path, changes: dict[str, Any], message: str
) -> None:
    edit(folder, **changes)
    with pytest.raises(CheckpointError, match=rf"config\.json: {message}") as caught:
        read_model_config(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model_type", "changes", "message"),
    [
        ("mistral", {"attention_bias": True}, "attention_bias true is not supported"),
        ("mistral", {"mlp_bias": True}, "mlp_bias true is not supported"),
        ("mistral", {"sliding_window": 8, "use_sliding_window": False}, "use_sliding_window False does not go"),
        ("mistral", {"sliding_window": 8, "layer_types": ["full_attention"] * 2}, "layer_types other than"),
        ("mistral", {"sliding_window": 0}, "sliding_window must be a whole number"),
        ("qwen2", {"layer_types": ["sliding_attention"] * 2}, "layer_types has sliding_attention, and there is no"),
        ("qwen2", {"use_sliding_window": True, "max_window_layers": -1}, "max_window_layers must be"),
        ("qwen3", {"use_sliding_window": "yes"}, "use_sliding_window must be true or false"),
        ("smollm3", {"no_rope_layers": [1]}, "no_rope_layers must be a 0 or a 1 for each of 2 layers"),
        ("smollm3", {"no_rope_layers": [1, 2]}, "no_rope_layers must be a 0 or a 1 for each of 2 layers"),
    ],
)
def test_a_key_that_its_family_does_not_have_is_refused(
    edit: Any, folder: Path, model_type: str, changes: dict[str, Any], message: str
) -> None:
    edit(folder, architectures=None, model_type=model_type, **changes)
    with pytest.raises(CheckpointError, match=rf"config\.json: {message}"):
        read_model_config(folder)


@pytest.mark.parametrize("model_type", [family.model_type for family in ARCHITECTURES.values()])
@pytest.mark.parametrize("sliding", [None, False, True])
def test_keys_that_are_left_out_mean_what_they_mean_to_transformers(
    edit: Any, tmp_path: Path, model_type: str, sliding: bool | None
) -> None:
    sizes = {"vocab_size": 9, "hidden_size": 256, "intermediate_size": 8, "num_hidden_layers": 30}
    given = {} if sliding is None or model_type in ("llama", "mistral") else {"use_sliding_window": sliding}
    edit(tmp_path, model_type=model_type, num_attention_heads=32, **sizes, **given)
    ours, theirs = read_model_config(tmp_path), AutoConfig.from_pretrained(tmp_path)
    assert ours.kv_heads == theirs.num_key_value_heads
    assert ours.head_dim == getattr(theirs, "head_dim", 256 // 32)
    assert ours.norm_eps == theirs.rms_norm_eps
    assert ours.window == theirs.max_position_embeddings
    assert ours.tied_embeddings == theirs.tie_word_embeddings
    assert ours.rope == RopeConfig(theirs.rope_parameters["rope_theta"], theirs.rope_parameters["rope_type"])
    types = getattr(theirs, "layer_types", ["sliding_attention" if model_type == "mistral" else "full_attention"] * 30)
    windows = {"full_attention": None, "sliding_attention": getattr(theirs, "sliding_window", None)}
    assert ours.attention_windows == tuple(windows[kind] for kind in types)
    assert ours.rotations == tuple(map(bool, getattr(theirs, "no_rope_layers", [1] * 30)))


def test_null_is_a_value_of_its_own(edit: Any, folder: Path) -> None:
    edit(folder, architectures=None, model_type="mistral", num_key_value_heads=None, sliding_window=None)
    config = read_model_config(folder)
    assert (config.kv_heads, set(config.attention_windows)) == (4, {None})


def test_the_window_reaches_as_far_as_the_rope_was_stretched_to(edit: Any, folder: Path) -> None:
    yarn = {"rope_type": "yarn", "factor": 4.0}
    windows = []
    for parameters in (
        yarn,
        {**yarn, "original_max_position_embeddings": 40},
        {**yarn, "original_max_position_embeddings": 20},
        {"rope_type": "dynamic", "factor": 1.5},
        {"rope_type": "dynamic", "factor": 1e308},
        {"rope_type": "linear", "factor": 2.0},
    ):
        edit(folder, rope_parameters=parameters)
        windows.append(read_model_config(folder).window)
    assert windows == [640, 160, 160, 240, 1 << 40, 160]


def test_rope_is_read_as_either_transformers_wrote_it(edit: Any, folder: Path) -> None:
    edit(folder, rope_parameters={"rope_type": "linear", "factor": 2, "rope_theta": 5e5})
    new = read_model_config(folder).rope
    edit(folder, rope_parameters=None, rope_theta=5e5, rope_scaling={"type": "linear", "factor": 2.0})
    assert read_model_config(folder).rope == new == RopeConfig(5e5, "linear", 2.0)
