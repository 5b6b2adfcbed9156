"""The random state of a draw: a seed and the index of a token, nothing that was drawn before."""

from __future__ import annotations

from hashlib import blake2b

_BITS = 52


def uniform(seed: int, index: int) -> float:
    """A number in [0, 1) for each pair. Neighbouring seeds and indexes are independent: it is a keyed hash.

    It has 52 bits, so that its product with a float64 is less than that float64.
    """
    digest = blake2b(f"{seed}:{index}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> (64 - _BITS)) * 2.0**-_BITS
