"""generation_config.json: what a checkpoint wants where a request leaves a setting out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley_worker.models.files import JsonFile, read_optional_json

# What transformers' generate would obey and this engine does not, with the values at which it does nothing.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "typical_p": (1,),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "top_h": (),
    "no_repeat_ngram_size": (0,),
    "encoder_repetition_penalty": (1,),
    "encoder_no_repeat_ngram_size": (0,),
    "bad_words_ids": ([],),
    "sequence_bias": ({}, []),
    "suppress_tokens": ([],),
    "begin_suppress_tokens": ([],),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "exponential_decay_length_penalty": (),
    "guidance_scale": (1,),
    "penalty_alpha": (0,),
    "dola_layers": (),
    "watermarking_config": (),
    "min_length": (0,),
    "min_new_tokens": (0,),
}


@dataclass(frozen=True, slots=True)
class GenerationDefaults:
    """Settings for requests that leave them out. max_tokens None: to the end of the window."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    max_tokens: int | None = None
    eos_ids: frozenset[int] = frozenset()
    min_p: float = 0.0


def read_generation_defaults(folder: Path, config_eos: frozenset[int]) -> GenerationDefaults:
    """Read folder/generation_config.json, which may be absent. Raises CheckpointError for a setting not supported."""
    raw = read_optional_json(folder / "generation_config.json")
    for key, neutral in _NEUTRAL.items():
        if raw.get(key) is not None and raw.get(key) not in neutral:
            raise raw.error(key, f"{raw.get(key)!r} is not supported")
    return GenerationDefaults(
        temperature=_temperature(raw),
        top_k=int(_in_range(raw, "top_k", 0, float("inf"), 0)),
        top_p=_in_range(raw, "top_p", 0, 1, 1.0),
        repetition_penalty=raw.number("repetition_penalty", 1.0),
        max_tokens=None if raw.get("max_new_tokens") is None else raw.integer("max_new_tokens"),
        eos_ids=raw.token_ids("eos_token_id") or config_eos,
        min_p=_in_range(raw, "min_p", 0, 1, 0.0),
    )


def _temperature(raw: JsonFile) -> float:
    # An explicit do_sample of false is transformers' word for greedy.
    return 0.0 if raw.get("do_sample") is False else _in_range(raw, "temperature", 0, float("inf"), 1.0)


def _in_range(raw: JsonFile, key: str, low: float, high: float, default: float) -> float:
    value = default if raw.get(key) is None else raw.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise raw.error(key, f"must be a number from {low} to {high}, not {value!r}")
    return value
