"""What `make cluster` reads from the environment itself. The services read theirs, which they inherit."""

from __future__ import annotations

from pydantic import Field, PositiveInt, SecretStr

from parley_kit.settings import Settings


class ClusterSettings(Settings):
    gateway_host: str = Field("127.0.0.1", description="the address that the gateways listen on")
    gateway_port: int = Field(8080, ge=1, le=65000, description="the first gateway's port; the others follow it")
    cluster_routes: dict[str, PositiveInt] = Field(
        default_factory=dict,
        description="ports by which the services reach a server or service instead of its own: JSON, name to port; "
        "for proxies of fault tests",
    )
    service_token: SecretStr | None = Field(
        None, description="the secret that Parley's own services show each other; default: made and kept"
    )
