"""The platform with mutual TLS between its services: everybody shows the right name, and expects it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import trustme
from support.graphql import events, open_http, text_of
from support.people import ME, scripted, sign_up

from parley_kit import tls
from parley_kit.clock import SystemClock
from parley_kit.health import Readiness
from parley_standalone.bootstrap import open_platform
from parley_standalone.settings import PlatformSettings
from parley_worker.settings import BackendKind


def certify(authority: trustme.CA, folder: Path, name: str) -> dict[str, Any]:
    """Settings with the three files of a service."""
    certificate = authority.issue_cert(name)
    files = {f"tls_{kind}": folder / f"{name}.{kind}.pem" for kind in ("cert", "key", "ca")}
    certificate.cert_chain_pems[0].write_to_path(files["tls_cert"])
    certificate.private_key_pem.write_to_path(files["tls_key"])
    authority.cert_pem.write_to_path(files["tls_ca"])
    return dict(files)


def secured(settings: PlatformSettings, folder: Path) -> PlatformSettings:
    authority = trustme.CA()
    scripted_worker = {"worker_backend": BackendKind.SCRIPTED, "scripted_interval_ms": 5.0}
    return replace(
        settings,
        auth=settings.auth.model_copy(update=certify(authority, folder, tls.AUTH)),
        conversation=settings.conversation.model_copy(update=certify(authority, folder, tls.CONVERSATION)),
        gateway=settings.gateway.model_copy(update=certify(authority, folder, tls.GATEWAY)),
        worker=settings.worker.model_copy(update={**certify(authority, folder, tls.WORKER), **scripted_worker}),
    )


async def test_a_message_is_answered(tmp_path: Path) -> None:
    settings = secured(PlatformSettings.load(data_dir=tmp_path / "data", port=0), tmp_path)
    clock = SystemClock()
    async with open_platform(settings, clock, readiness := Readiness()) as platform, open_http(platform.url) as http:
        ada = await sign_up(http)
        assert (await ada.data(ME))["me"]["email"] == ada.email
        while not (await readiness.report())[0]:
            await clock.sleep(0.02)
        sent = await ada.send(await ada.create(), "Hello", parameters={"maxTokens": 3})
        seen = [event async for event in events("ws", platform.url, ada.token, sent["generation"]["id"])]
    assert text_of(seen) == scripted(3)
