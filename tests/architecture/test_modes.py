"""The whole platform in one process is embedded mode, whatever a cluster's settings are in its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley_standalone.settings import PlatformSettings

CLUSTER = {
    "PARLEY_MONGO_URL": "mongodb://db.example.org",
    "PARLEY_CASSANDRA_HOSTS": "db.example.org:9042",
    "PARLEY_TLS_CERT": "/cert.pem",
    "PARLEY_TLS_KEY": "/key.pem",
    "PARLEY_TLS_CA": "/ca.pem",
}


def test_one_process_uses_no_server_and_no_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CLUSTER.items():
        monkeypatch.setenv(name, value)
    settings = PlatformSettings.load(data_dir=tmp_path)
    for service in (settings.auth, settings.conversation, settings.worker, settings.gateway):
        named = {f"PARLEY_{name.upper()}": value for name, value in service}
        assert {name for name in CLUSTER if named.get(name) is not None} == set()
