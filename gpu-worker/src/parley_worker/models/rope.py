"""What a checkpoint says about its rotary position embedding, in the words of transformers 4 and of 5."""

from __future__ import annotations

from dataclasses import dataclass

from parley_worker.models.files import JsonFile

SUPPORTED_TYPES = ("default", "linear", "llama3")


@dataclass(frozen=True, slots=True)
class RopeConfig:
    """`theta` is the base. kind is one of SUPPORTED_TYPES; `factor` is for linear and llama3, the rest for llama3."""

    theta: float = 10_000.0
    kind: str = "default"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 1.0
    original_length: int = 0


def read_rope(config: JsonFile) -> RopeConfig:
    """Read `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (transformers 4)."""
    values = config.section("rope_parameters" if config.get("rope_parameters") is not None else "rope_scaling")
    theta = values.number("rope_theta", config.number("rope_theta", 10_000.0))
    kind = values.get("rope_type") or values.get("type") or "default"
    if kind not in SUPPORTED_TYPES:
        raise config.error("rope_type", f"{kind!r} is not supported; supported: {', '.join(SUPPORTED_TYPES)}")
    if values.number("partial_rotary_factor", config.number("partial_rotary_factor", 1.0)) != 1.0:
        raise config.error("partial_rotary_factor", "other than 1 is not supported")
    if kind == "default":
        return RopeConfig(theta)
    factor = values.number("factor")
    return RopeConfig(theta, kind, factor) if kind == "linear" else _llama3(values, theta, factor)


def _llama3(values: JsonFile, theta: float, factor: float) -> RopeConfig:
    return RopeConfig(
        theta,
        "llama3",
        factor,
        low_freq_factor=values.number("low_freq_factor"),
        high_freq_factor=values.number("high_freq_factor"),
        original_length=values.integer("original_max_position_embeddings"),
    )
