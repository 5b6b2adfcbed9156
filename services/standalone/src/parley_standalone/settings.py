"""The settings of all the services at once, checked before anything is opened."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from parley_auth.settings import AuthSettings
from parley_conversation.settings import ConversationSettings
from parley_gateway.settings import GatewaySettings
from parley_kit.settings import Settings
from parley_worker.settings import WorkerSettings

IN_PROCESS = {"mongo_url": None, "cassandra_hosts": None, "tls_cert": None, "tls_key": None, "tls_ca": None}
"""What the environment of a cluster may hold, and one process has no use for."""
NOT_YET = "127.0.0.1:0"  # an address that is known once the service listens


@dataclass(frozen=True, slots=True)
class PlatformSettings:
    """One settings object for each service, sharing the data folder and a service token made for this process."""

    base: Settings
    auth: AuthSettings
    conversation: ConversationSettings
    worker: WorkerSettings
    gateway: GatewaySettings

    @classmethod
    def load(cls, *, data_dir: Path | None = None, port: int | None = None, model: str | None = None) -> Self:
        """From the environment; arguments win over it. Raises ConfigError naming the variable."""
        shared = {**IN_PROCESS, **_given(data_dir=data_dir)}
        peer = {"service_token": secrets.token_urlsafe(32), "auth_address": NOT_YET, **shared}
        return cls(
            base=Settings.load(**shared),
            auth=AuthSettings.load(**shared),
            conversation=ConversationSettings.load(**peer),
            worker=WorkerSettings.load(conversation_address=NOT_YET, **peer, **_given(worker_model=model)),
            gateway=GatewaySettings.load(conversation_address=NOT_YET, **peer, **_given(gateway_port=port)),
        )


def _given(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}
