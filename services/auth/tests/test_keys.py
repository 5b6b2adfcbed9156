"""Signing keys: made once, readable by the owner alone, and refused by name when they cannot be used."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, RSAKey

from parley_auth.adapters.jwt import JwtAccessTokens
from parley_auth.adapters.keys import KeyRing, load_or_make_ring
from parley_auth.bootstrap import load_ring
from parley_auth.settings import AuthSettings
from parley_kit.settings import ConfigError


def pem(key: ECKey | RSAKey, private: bool = True) -> str:
    return key.as_pem(private=private).decode()


def test_the_first_start_makes_a_key_for_the_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    ring = load_or_make_ring(folder)
    (file,) = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)
    assert load_or_make_ring(folder).signing.kid == ring.signing.kid


def test_processes_that_start_together_share_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All have seen that there is no key before any of them makes one."""
    starters, make = threading.Barrier(8, timeout=30), ECKey.generate_key

    def make_together(curve: str) -> ECKey:
        starters.wait()
        return make(curve)

    monkeypatch.setattr(ECKey, "generate_key", make_together)
    with ThreadPoolExecutor(8) as pool:
        kids = {ring.signing.kid for ring in pool.map(lambda _: load_or_make_ring(tmp_path), range(8))}
    assert len(kids) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["signing.pem"]


def test_keys_beside_it_verify_only(tmp_path: Path) -> None:
    old = load_or_make_ring(tmp_path).signing
    (tmp_path / "signing.pem").rename(tmp_path / "2025.pem")
    ring = load_or_make_ring(tmp_path)
    assert ring.signing.kid != old.kid
    assert [key.kid for key in ring.previous] == [old.kid]


def test_the_key_set_is_public(tmp_path: Path) -> None:
    old = ECKey.import_key(pem(ECKey.generate_key("P-256")), {"use": "sig", "alg": "ES256"})
    old.ensure_kid()
    signing = load_or_make_ring(tmp_path).signing
    keys = JwtAccessTokens(KeyRing(signing, (old, signing))).jwks()["keys"]
    assert [key["kid"] for key in keys] == [signing.kid, old.kid]
    assert all(key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"} for key in keys)


def test_a_broken_key_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "signing.pem").write_text("nothing")
    with pytest.raises(ConfigError, match=r"signing\.pem: not a key in PEM"):
        load_or_make_ring(tmp_path)


def test_a_folder_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file")
    with pytest.raises(ConfigError, match="cannot use the keys"):
        load_or_make_ring(tmp_path / "keys")


class TestSettings:
    def ring(self, tmp_path: Path, **fields: object) -> KeyRing:
        return load_ring(AuthSettings.load(data_dir=tmp_path, env="production", **fields))

    def test_production_needs_a_key(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="PARLEY_AUTH_SIGNING_KEY"):
            self.ring(tmp_path)
        assert not list(tmp_path.iterdir())

    def test_keys_come_from_the_settings(self, tmp_path: Path) -> None:
        signing, *previous = (ECKey.generate_key("P-256") for _ in range(3))
        bundle = pem(previous[0]) + pem(previous[1], private=False)
        ring = self.ring(tmp_path, auth_signing_key=pem(signing).replace("\n", "\\n"), auth_previous_keys=bundle)
        assert [key.kid for key in (ring.signing, *ring.previous)] == [key.thumbprint() for key in (signing, *previous)]
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("key", "why"),
        [
            ("secret", "not one key"),
            (pem(ECKey.generate_key("P-256")) * 2, "not one key"),
            (pem(ECKey.generate_key("P-384")), "not a key of the curve P-256"),
            (pem(RSAKey.generate_key(2048)), "not a key in PEM"),
            (pem(ECKey.generate_key("P-256"), private=False), "not a private key"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "not a key in PEM"),
        ],
        ids=["no PEM", "two", "P-384", "RSA", "public", "garbage"],
    )
    def test_a_bad_key_is_named_and_not_shown(self, tmp_path: Path, key: str, why: str) -> None:
        with pytest.raises(ConfigError, match=f"^PARLEY_AUTH_SIGNING_KEY: {why}") as caught:
            self.ring(tmp_path, auth_signing_key=key)
        assert key not in str(caught.value)

    def test_a_bad_previous_key_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"^PARLEY_AUTH_PREVIOUS_KEYS: no key"):
            self.ring(tmp_path, auth_signing_key=pem(ECKey.generate_key("P-256")), auth_previous_keys="old")
