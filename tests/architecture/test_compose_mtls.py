"""infra/compose/mtls.yml and the certificates that go with it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.images import PROCESSES, ROOT

from parley_kit.context import Principal
from parley_kit.errors import Unavailable
from parley_kit.grpc import Guard, open_channel, open_server
from parley_kit.tls import Tls, TlsSettings, load_tls

BASE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
OVERLAY: dict[str, Any] = yaml.safe_load((ROOT / "infra" / "compose" / "mtls.yml").read_text())["services"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run([ROOT / "infra/compose/certificates.sh", folder], check=True, capture_output=True)
    return folder


def tls_of(folder: Path) -> Tls:
    """As the service reads the folder that is mounted for it."""
    names = OVERLAY["auth"]["environment"]
    files = {key.removeprefix("PARLEY_").lower(): folder / Path(path).name for key, path in names.items()}
    tls = load_tls(TlsSettings(**files))  # type: ignore[arg-type] # the three files
    assert tls is not None
    return tls


async def nobody(_token: str) -> Principal:
    raise Unavailable("not asked here")


def test_every_service_gets_its_own_certificate() -> None:
    assert set(OVERLAY) == {name for name, service in BASE.items() if service["image"].startswith("parley-")}
    for name, service in OVERLAY.items():
        (mount,) = service["volumes"]
        image = BASE[name]["image"].partition(":")[0]
        assert image in PROCESSES
        assert mount.endswith(f"/{image}:/etc/parley/tls:ro")
        assert all(path.startswith("/etc/parley/tls/") for path in service["environment"].values())


async def test_services_with_them_can_talk_and_others_cannot(certificates: Path, tmp_path: Path) -> None:
    subprocess.run([ROOT / "infra/compose/certificates.sh", tmp_path], check=True, capture_output=True)
    auth, gateway = tls_of(certificates / "parley-auth"), tls_of(certificates / "parley-gateway")
    stranger = tls_of(tmp_path / "parley-gateway")
    async with open_server([], Guard({}, nobody, "token"), tls=auth) as server:
        address = f"127.0.0.1:{server.port}"
        assert await is_serving(address, gateway, "parley-auth")
        for tls, peer in ((gateway, "parley-conversation"), (stranger, "parley-auth"), (None, "")):
            with pytest.raises(Unavailable):
                await is_serving(address, tls, peer)


async def is_serving(address: str, tls: Tls | None, peer: str) -> bool:
    async with open_channel(address, tls=tls, peer=peer) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5.0)
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def test_made_again_they_are_of_the_same_authority(certificates: Path) -> None:
    before = (certificates / "ca.crt").read_bytes(), (certificates / "parley-auth" / "tls.crt").read_bytes()
    subprocess.run([ROOT / "infra/compose/certificates.sh", certificates], check=True, capture_output=True)
    after = (certificates / "ca.crt").read_bytes(), (certificates / "parley-auth" / "tls.crt").read_bytes()
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_nobody_else_can_read_the_keys(certificates: Path) -> None:
    for key in certificates.rglob("*.key"):
        assert key.stat().st_mode & 0o077 == 0, key
