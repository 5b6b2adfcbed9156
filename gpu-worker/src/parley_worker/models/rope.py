"""What a checkpoint says about its rotary position embedding, in the words of transformers 4 and of 5."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from parley_worker.models.files import JsonFile

SUPPORTED_TYPES = ("default", "linear", "dynamic", "yarn", "llama3")
# All that transformers gives a meaning to in these types; a key that its type does not read changes nothing.
_KEYS = {
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "factor",
    "high_freq_factor",
    "low_freq_factor",
    "mscale",
    "mscale_all_dim",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "rope_theta",
    "rope_type",
    "truncate",
    "type",
}

# Tokens: beyond any cache, and a number still.
_FAR = 1 << 40


@dataclass(frozen=True, slots=True)
class RopeConfig:
    """`theta` is the base. kind is one of SUPPORTED_TYPES and decides which of the others count.

    original_length: the tokens that the frequencies were trained for. amplitude scales cosines and sines.
    beta_fast, beta_slow and truncate bound the frequencies that yarn blends.
    """

    theta: float = 10_000.0
    kind: str = "default"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 1.0
    original_length: int = 0
    amplitude: float = 1.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True

    def reach(self, positions: int) -> int:
        """The longest sequence where config.json says max_position_embeddings `positions`.

        For dynamic that is the trained length, by definition; for yarn it often is, as model cards tell to add the
        scaling and change nothing else.
        """
        if self.kind in ("dynamic", "yarn"):
            return max(positions, int(min(self.original_length * self.factor, _FAR)))
        return positions


def read_rope(config: JsonFile, theta: float, positions: int, head_dim: int) -> RopeConfig:
    """Read `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (transformers 4).

    theta is the architecture's base, positions its max_position_embeddings. Raises CheckpointError.
    """
    values = config.section("rope_scaling" if config.get("rope_scaling") else "rope_parameters")
    theta = values.number("rope_theta", config.number("rope_theta", theta))
    kind = values.get("rope_type") or values.get("type") or "default"
    if kind not in SUPPORTED_TYPES:
        raise config.error("rope_type", f"{kind!r} is not supported; supported: {', '.join(SUPPORTED_TYPES)}")
    if values.number("partial_rotary_factor", config.number("partial_rotary_factor", 1.0)) != 1.0:
        raise config.error("partial_rotary_factor", "other than 1 is not supported")
    unknown = sorted(values.values.keys() - _KEYS)
    if unknown:
        raise config.error(unknown[0], "is not supported in the parameters of a rotary embedding")
    return RopeConfig(theta, kind, **_parameters(kind, theta, config, values, positions, head_dim))


def _parameters(
    kind: str, theta: float, config: JsonFile, values: JsonFile, positions: int, head_dim: int
) -> dict[str, Any]:
    if kind == "default":
        return {}
    if kind == "linear":
        return {"factor": values.number("factor")}
    if kind == "dynamic":
        if head_dim < 4:
            raise config.error("head_dim", f"must be at least 4 with rope_type 'dynamic', is {head_dim}")
        return {"factor": values.number("factor"), "original_length": positions}
    # A length beside the parameters goes before the one among them.
    length = values.integer("original_max_position_embeddings", positions)
    length = config.integer("original_max_position_embeddings", length)
    if kind == "llama3":
        return _llama3(values, length)
    if theta <= 1:
        raise config.error("rope_theta", f"must be over 1 with rope_type 'yarn', is {theta}")
    return _yarn(values, positions, length)


def _llama3(values: JsonFile, length: int) -> dict[str, Any]:
    low, high = values.number("low_freq_factor"), values.number("high_freq_factor")
    if high <= low:
        raise values.error("high_freq_factor", f"must be over low_freq_factor ({low}), is {high}")
    return {
        "factor": values.number("factor"),
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_length": length,
    }


def _yarn(values: JsonFile, positions: int, length: int) -> dict[str, Any]:
    factor = values.number("factor", positions / length)
    mscale, all_dim = values.get("mscale") or 0, values.get("mscale_all_dim") or 0
    if values.get("attention_factor") is not None:
        amplitude = values.number("attention_factor")
    elif mscale and all_dim:
        amplitude = _magnitude(factor, values.number("mscale")) / _magnitude(factor, values.number("mscale_all_dim"))
    else:
        amplitude = _magnitude(factor, 1.0)
    return {
        "factor": factor,
        "original_length": length,
        "amplitude": amplitude,
        "beta_fast": values.number("beta_fast", 32.0),
        "beta_slow": values.number("beta_slow", 1.0),
        "truncate": values.flag("truncate", True),
    }


def _magnitude(factor: float, scale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0
