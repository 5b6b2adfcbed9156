"""Writes docs/settings.md to stdout from the settings classes of the services: `make settings`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from parley_auth.settings import AuthSettings
from parley_bus.kafka import KafkaSettings
from parley_conversation.settings import ConversationSettings
from parley_gateway.settings import GatewaySettings
from parley_kit.service import HealthSettings
from parley_kit.settings import Settings
from parley_kit.tls import TlsSettings
from parley_live.redis import RedisSettings
from parley_worker.settings import WorkerSettings

SECTIONS: dict[str, type[Settings]] = {
    "Every service": Settings,
    "auth": AuthSettings,
    "conversation": ConversationSettings,
    "gateway": GatewaySettings,
    "gpu-worker": WorkerSettings,
    "Certificates: every service that is its own process": TlsSettings,
    "Redis: auth, conversation, gateway and gpu-worker as processes of their own": RedisSettings,
    "Kafka: conversation and gpu-worker as processes of their own": KafkaSettings,
    "Probes: auth, conversation and gpu-worker as processes of their own": HealthSettings,
}


def page() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "Environment variables, read once at the start; a bad value stops the start and names the variable."
    yield "Generated from the code by `make settings`; a test holds the two together."
    for title, settings in SECTIONS.items():
        inherited = {name for base in settings.__mro__[1:] if issubclass(base, Settings) for name in base.model_fields}
        yield from ("", f"## {title}", "", "| variable | default | what it does |", "|---|---|---|")
        for name, field in settings.model_fields.items():
            if name not in inherited:
                yield f"| `{variable(name)}` | {default(field)} | {describe(field)} |"


def variable(name: str) -> str:
    return f"PARLEY_{name.upper()}"


def default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if field.is_required() or value is None:
        return ""
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    return f"`{value if isinstance(value, str | int | float) else str(value)}`"


def describe(field: FieldInfo) -> str:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return (field.description or "") + (f" ({', '.join(choices)})" if choices else "")


if __name__ == "__main__":
    print("\n".join(page()))  # noqa: T201 - it is what the script is for
