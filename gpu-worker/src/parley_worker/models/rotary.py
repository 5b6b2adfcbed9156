"""The rotations of a rotary position embedding, with the float32 arithmetic of transformers, in its order."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from parley_worker.models.rope import RopeConfig


class Rotary:
    """Turns positions into cosines and sines."""

    def __init__(self, rope: RopeConfig, head_dim: int, device: torch.device) -> None:
        self._rope, self._head_dim = rope, head_dim
        self._frequencies = frequencies(rope, head_dim).to(device)

    def __call__(self, positions: Tensor, lengths: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """positions and lengths [rows] -> cosines and signed sines [rows, 1, head_dim], computed in float32.

        A roll by half a head swaps the halves that turn into each other; the minus of the turn is in the sines.
        """
        angles = positions.float().unsqueeze(1) * self._of_rows(lengths)
        cos, sin = angles.cos() * self._rope.amplitude, angles.sin() * self._rope.amplitude
        cos, sin = torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)
        return cos.unsqueeze(1).to(dtype), sin.unsqueeze(1).to(dtype)

    def _of_rows(self, lengths: Tensor | None) -> Tensor:
        if self._rope.kind != "dynamic":
            return self._frequencies
        if lengths is None:
            raise ValueError("a dynamic rotary embedding needs the lengths of the sequences")
        grown = grown_frequencies(self._rope, self._head_dim, lengths)
        return torch.where((lengths > self._rope.original_length).unsqueeze(1), grown, self._frequencies)


def frequencies(rope: RopeConfig, head_dim: int) -> Tensor:
    """Radians for each position [head_dim / 2]; of dynamic, those within its original length."""
    plain = 1.0 / _periods(rope.theta, head_dim)
    if rope.kind == "linear":
        return plain / rope.factor
    if rope.kind == "llama3":
        return _llama3(rope, plain)
    if rope.kind == "yarn":
        return _yarn(rope, head_dim)
    return plain


def grown_frequencies(rope: RopeConfig, head_dim: int, lengths: Tensor) -> Tensor:
    """The frequencies of dynamic for sequences longer than its original length: [rows] -> [rows, head_dim / 2]."""
    growth = rope.factor * lengths / rope.original_length - (rope.factor - 1)
    theta = rope.theta * growth.clamp(min=1) ** (head_dim / (head_dim - 2))
    return 1.0 / theta.unsqueeze(1) ** _exponents(head_dim).to(lengths.device)


def _exponents(head_dim: int) -> Tensor:
    return torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim


def _periods(theta: float, head_dim: int) -> Tensor:
    return theta ** _exponents(head_dim)


def _llama3(rope: RopeConfig, plain: Tensor) -> Tensor:
    """Low frequencies are stretched, high ones kept, those between blended by their wavelength."""
    wavelengths = 2 * math.pi / plain
    share = (rope.original_length / wavelengths - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)
    blended = (1 - share) * plain / rope.factor + share * plain
    low = wavelengths > rope.original_length / rope.low_freq_factor
    high = wavelengths < rope.original_length / rope.high_freq_factor
    return torch.where(low, plain / rope.factor, torch.where(high, plain, blended))


def _yarn(rope: RopeConfig, head_dim: int) -> Tensor:
    """Dimensions that turn often within the original length are kept, those that hardly turn stretched."""
    periods = _periods(rope.theta, head_dim)
    low = max(_turning(rope.beta_fast, rope, head_dim, math.floor), 0)
    high = min(_turning(rope.beta_slow, rope, head_dim, math.ceil), head_dim - 1)
    width = high - low if high != low else 0.001
    kept = 1 - ((torch.arange(head_dim // 2, dtype=torch.float32) - low) / width).clamp(0, 1)
    return 1.0 / (rope.factor * periods) * (1 - kept) + 1.0 / periods * kept


def _turning(turns: float, rope: RopeConfig, head_dim: int, whole: Callable[[float], int]) -> float:
    """The dimension that makes so many turns over the original length."""
    dimension = head_dim * math.log(rope.original_length / (turns * 2 * math.pi)) / (2 * math.log(rope.theta))
    return whole(dimension) if rope.truncate else dimension
