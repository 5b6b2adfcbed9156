"""Where signing keys come from: the settings, or in development a file that the first start makes.

To rotate: put the new key where the old one was and keep the old one as a previous key for the life of an access
token; verifiers fetch the key set anew when they meet an unknown kid.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from parley_kit.settings import ConfigError
from parley_kit.tokens import ALGORITHM

CURVE = "P-256"
SIGNING_FILE = "signing.pem"
_PEM_BLOCK = re.compile(r"-----BEGIN [^-]+-----.+?-----END [^-]+-----", re.DOTALL)


@dataclass(frozen=True)
class KeyRing:
    """`previous` verify what was signed before the last rotation; only `signing` signs."""

    signing: ECKey
    previous: tuple[ECKey, ...] = ()


def parse_ring(signing: str, previous: str, names: tuple[str, str]) -> KeyRing:
    """The keys of the settings: PEM, one block and any number. Raises ConfigError with the name of the bad one.

    A line break may be written as backslash n: an environment file has no other way.
    """
    ring = KeyRing(_parse_key(_one_block(signing, names[0]), names[0]), _parse_all(previous, names[1]))
    _require_private(ring.signing, names[0])
    return ring


def load_or_make_ring(folder: Path) -> KeyRing:
    """The keys of a folder: `signing.pem`, made if need be, and every other *.pem as a previous key.

    Of several processes that start at once, one makes the key and all use it. Raises ConfigError.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / SIGNING_FILE
        if not path.exists():
            _make_key_file(path)
        signing = _parse_key(path.read_text(), str(path))
        others = sorted(other for other in folder.glob("*.pem") if other != path)
        previous = tuple(_parse_key(other.read_text(), str(other)) for other in others)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot use the keys in {folder}: {error}") from None
    _require_private(signing, str(path))
    return KeyRing(signing, previous)


def _make_key_file(path: Path) -> None:
    """All or nothing: written aside, then linked to its name, which fails if another process was faster."""
    draft = path.with_name(f".{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(ECKey.generate_key(CURVE).as_pem(private=True))
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _one_block(text: str, name: str) -> str:
    blocks = _blocks(text)
    if len(blocks) != 1:
        raise ConfigError(f"{name}: not one key in PEM")
    return blocks[0]


def _parse_all(text: str, name: str) -> tuple[ECKey, ...]:
    blocks = _blocks(text)
    if text.strip() and not blocks:
        raise ConfigError(f"{name}: no key in PEM")
    return tuple(_parse_key(block, name) for block in blocks)


def _blocks(text: str) -> Sequence[str]:
    return _PEM_BLOCK.findall(text.replace("\\n", "\n"))


def _parse_key(pem: str, name: str) -> ECKey:
    try:
        key = ECKey.import_key(pem, {"use": "sig", "alg": ALGORITHM})
    except (JoseError, ValueError, TypeError):
        raise ConfigError(f"{name}: not a key in PEM") from None
    if key.curve_name != CURVE:
        raise ConfigError(f"{name}: not a key of the curve {CURVE}")
    key.ensure_kid()
    return key


def _require_private(key: ECKey, name: str) -> None:
    if not key.is_private:
        raise ConfigError(f"{name}: not a private key")
