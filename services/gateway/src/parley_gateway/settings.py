"""What the gateway reads from the environment."""

from __future__ import annotations

from pydantic import Field

from parley_kit.tls import TlsSettings


class GatewaySettings(TlsSettings):
    """One gateway process."""

    gateway_host: str = Field("127.0.0.1", description="the address that the gateway listens on")
    gateway_port: int = Field(8080, ge=0, le=65535, description="the gateway's port; 0: a free one")
    auth_address: str = Field(description="host:port of the auth service")
    conversation_address: str = Field(description="host:port of the conversation service")
    gateway_origins: str = Field(
        "", description="origins, besides the gateway's own, whose pages may call it, separated by commas"
    )
    gateway_max_streams: int = Field(2000, ge=1, description="WebSockets and event streams open at once")
    gateway_max_requests: int = Field(1000, ge=1, description="queries and mutations over HTTP under way at once")
    gateway_trust_forwarded: bool = Field(
        False, description="the last address in X-Forwarded-For is the client's: only behind a proxy that adds it"
    )

    @property
    def origins(self) -> frozenset[str]:
        """The origins, as browsers send them."""
        return frozenset(origin.strip().rstrip("/") for origin in self.gateway_origins.split(",") if origin.strip())
