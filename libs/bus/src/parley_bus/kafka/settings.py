"""What the Kafka bus reads from its environment."""

from __future__ import annotations

import os
import re
import socket

from pydantic import Field, ValidationInfo, field_validator

from parley_kit.settings import Settings

_SERVER = re.compile(r"[^\s,:]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


class KafkaSettings(Settings):
    kafka_servers: str = Field(description="Kafka brokers to begin with, host:port,host:port")
    kafka_partitions: int = Field(12, ge=1, le=1000, description="partitions of a topic that Parley creates")
    kafka_replication: int = Field(1, ge=1, le=9, description="copies of each partition; 3 in production")
    kafka_min_insync: int = Field(
        1, ge=1, le=9, description="copies that must hold a record before it is acknowledged; 2 in production"
    )
    kafka_retention_hours: int = Field(
        168, ge=1, description="hours that a topic keeps its records; dead letters are kept four times as long"
    )
    kafka_session_seconds: float = Field(
        8.0,
        ge=1,
        le=300,
        description="seconds of silence after which a dead consumer's partitions move; brokers refuse less than 6",
    )
    client_name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="this process's name in consumer groups, the same after a restart and its own; "
        "default: host name and process id",
    )

    @field_validator("kafka_servers")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        if not all(_SERVER.fullmatch(server.strip()) for server in value.split(",")):
            raise ValueError("expected host:port, or several separated by commas")
        return value

    @field_validator("kafka_min_insync")
    @classmethod
    def _can_be_in_sync(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("kafka_replication", value):
            raise ValueError("more than PARLEY_KAFKA_REPLICATION: nothing could ever be acknowledged")
        return value

    @property
    def servers(self) -> list[str]:
        return [server.strip() for server in self.kafka_servers.split(",")]

    @property
    def process_name(self) -> str:
        """Names this process in its consumer groups. A container keeps its host name and its pid over a restart."""
        return self.client_name or f"{_NOT_IN_NAMES.sub('-', socket.gethostname())}-{os.getpid()}"
