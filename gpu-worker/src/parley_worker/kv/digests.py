"""The names of blocks: equal names, equal tokens from the start of the sequence to the block's last."""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Sequence as Ordered
from hashlib import blake2b

from parley_worker.scheduler.batch import BLOCK_SIZE

_DIGEST_BYTES = 32


class BlockDigests:
    """Names blocks by a chain of cryptographic digests over token ids.

    A name stands for keys and values that are handed to whoever asks for it, so no tenant may be able to make two
    prompts of one name: blake2b with 256 bits, begun with a secret `salt`, cannot be made to collide. Nor may one learn
    from what is found, or from how fast it is, what others have said: each `owner` has names of his own.
    """

    def __init__(self, salt: bytes | None = None) -> None:
        self._salt = salt or secrets.token_bytes(_DIGEST_BYTES)

    def extend(self, digests: list[bytes], tokens: Ordered[int], blocks: int, owner: str = "") -> None:
        """Append to `digests`, the owner's names of the first blocks of `tokens`, up to the first `blocks` of them."""
        parent = digests[-1] if digests else self._root(owner)
        ids = array("i", tokens[len(digests) * BLOCK_SIZE : blocks * BLOCK_SIZE])
        data, size = ids.tobytes(), BLOCK_SIZE * ids.itemsize
        for start in range(0, len(data), size):
            parent = blake2b(parent + data[start : start + size], digest_size=_DIGEST_BYTES).digest()
            digests.append(parent)

    def of_begun(self, digests: Ordered[bytes], tokens: Ordered[int], end: int, owner: str = "") -> bytes:
        """The name of the block that token `end` is in, as long as it has the tokens before that alone, at least one.

        `digests` has the names of all blocks before it. No full block has such a name: it is made of less.
        """
        blocks = end // BLOCK_SIZE
        parent = digests[blocks - 1] if blocks else self._root(owner)
        ids = array("i", tokens[blocks * BLOCK_SIZE : end])
        return blake2b(parent + ids.tobytes(), digest_size=_DIGEST_BYTES).digest()

    def _root(self, owner: str) -> bytes:
        return blake2b(owner.encode(), key=self._salt, digest_size=_DIGEST_BYTES).digest()
