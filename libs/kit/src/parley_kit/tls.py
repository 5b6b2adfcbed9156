"""Mutual TLS between services: each shows a certificate of one authority, and is known by the DNS name in it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from parley_kit.settings import ConfigError, Settings

AUTH, CONVERSATION, GATEWAY, WORKER = "parley-auth", "parley-conversation", "parley-gateway", "parley-worker"
"""The subject alternative name (DNS) of each service's certificate, wherever the service runs."""


class TlsSettings(Settings):
    """Of every service. The three files together, or none: then gRPC is in the clear. Read once, at the start."""

    tls_cert: Path | None = Field(
        None,
        description="PEM file: the service's certificate, for the DNS name parley-auth, parley-conversation, "
        "parley-gateway or parley-worker",
    )
    tls_key: Path | None = Field(None, description="PEM file: the key of that certificate, without a password")
    tls_ca: Path | None = Field(None, description="PEM file: the authorities whose certificates count")


@dataclass(frozen=True, slots=True)
class Tls:
    """Contents of the three files."""

    cert: bytes
    key: bytes = field(repr=False)
    ca: bytes


def load_tls(settings: TlsSettings) -> Tls | None:
    """What the settings name; None when they name nothing. Raises ConfigError with the variable at fault."""
    files = {
        "PARLEY_TLS_CERT": settings.tls_cert,
        "PARLEY_TLS_KEY": settings.tls_key,
        "PARLEY_TLS_CA": settings.tls_ca,
    }
    given = {name: path for name, path in files.items() if path is not None}
    if not given:
        return None
    if missing := files.keys() - given.keys():
        raise ConfigError(f"{', '.join(sorted(missing))}: not set; mutual TLS needs a certificate, its key and a CA")
    cert, key, ca = (_read(name, path) for name, path in given.items())
    _check(given)
    return Tls(cert, key, ca)


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: cannot read {path}: {error.strerror}") from None


def _check(files: Mapping[str, Path]) -> None:
    """What gRPC would only say at the first connection, and to nobody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(files["PARLEY_TLS_CA"])
    except ssl.SSLError:
        raise ConfigError(f"PARLEY_TLS_CA: no certificate in PEM in {files['PARLEY_TLS_CA']}") from None
    try:
        context.load_cert_chain(files["PARLEY_TLS_CERT"], files["PARLEY_TLS_KEY"], password="")
    except ssl.SSLError:
        raise ConfigError("PARLEY_TLS_CERT, PARLEY_TLS_KEY: not a certificate and its key in PEM") from None
