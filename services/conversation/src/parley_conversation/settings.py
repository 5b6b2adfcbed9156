"""The settings of the conversation service."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr

from parley_conversation.domain.rules import Sizes
from parley_conversation.domain.verdict import Patience
from parley_kit.tls import TlsSettings


class ConversationSettings(TlsSettings):
    auth_address: str = Field("127.0.0.1:7001", description="host:port of the auth service, for its public keys")
    service_token: SecretStr = Field(description="the secret that Parley's own services show each other")
    conversation_host: str = Field("127.0.0.1", description="the address that the conversation service listens on")
    conversation_port: int = Field(0, ge=0, le=65535, description="its gRPC port; 0: a free one")
    mongo_url: SecretStr | None = Field(
        None, description="where conversations are kept: a MongoDB URL; left out: SQLite in the data folder"
    )
    conversation_database: str = Field(
        "parley_conversation", pattern=r"^[A-Za-z0-9_-]{1,60}$", description="conversation's MongoDB database"
    )
    default_model: str | None = Field(
        None, description="the model of new conversations; left out: the first that a worker serves"
    )
    models: dict[str, PositiveInt] = Field(
        default_factory=dict,
        description="models listed also while nobody serves them: JSON, name to context length",
    )
    max_active: PositiveInt = Field(64, description="answers in the making at once, everybody's")
    max_active_per_user: PositiveInt = Field(16, description="answers in the making at once, one user's")
    max_content: PositiveInt = Field(100_000, description="characters of a message")
    max_title: PositiveInt = Field(200, description="characters of a title")
    max_system_prompt: PositiveInt = Field(100_000, description="characters of a system prompt")
    generation_seconds: PositiveFloat = Field(600, description="deadline of an answer, from its request on")
    lease_seconds: PositiveFloat = Field(6, description="how long a worker holds an answer without a heartbeat")
    sweep_seconds: PositiveFloat = Field(1, description="interval of the sweep that repairs what got stuck")
    unclaimed_seconds: PositiveFloat = Field(3, description="a request that no worker took is published again after")
    cancel_seconds: PositiveFloat = Field(1.5, description="a stop that the worker does not answer is forced after")
    model_fresh_seconds: PositiveFloat = Field(7, description="a model is available for this long after a heartbeat")
    cassandra_hosts: str | None = Field(
        None, description="host:port,... of Cassandra, for the chat log; left out: SQLite in the data folder"
    )
    cassandra_keyspace: str = Field("parley", description="the keyspace of the chat log, made when it is not there")
    cassandra_datacenter: str = Field("datacenter1", description="the datacenter whose nodes are asked")
    cassandra_replication: PositiveInt = Field(1, description="copies of each row in that datacenter")

    @property
    def sizes(self) -> Sizes:
        return Sizes(self.max_content, self.max_title, self.max_system_prompt)

    @property
    def patience(self) -> Patience:
        return Patience(timedelta(seconds=self.unclaimed_seconds), timedelta(seconds=self.cancel_seconds))
