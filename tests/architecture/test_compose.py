"""docker-compose.yml against the images, the settings and itself. No engine runs it here; see docs/operations.md."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.images import DOCKERFILES, PROCESSES, ROOT, VERSION, read_dockerfile, settings_of

from parley_auth.adapters.keys import parse_ring

OFFICIAL = {
    "kafka": "apache/kafka:4.1.0",
    "cassandra": "cassandra:5.0.4",
    "mongodb": "mongo:8.0.4",
    "redis": "redis:7.4.2",
}
PROFILES = {
    "infra": {"kafka", "cassandra", "mongodb", "redis"},
    "platform": {"auth", "conversation", "gateway", "worker"},
    "gpu": {"worker-gpu"},
}
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if name not in OFFICIAL}
IMAGES = {image.image: image for image in map(read_dockerfile, DOCKERFILES)}
each_service = pytest.mark.parametrize("name", SERVICES)
each_of_ours = pytest.mark.parametrize("name", OURS)
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<mark>:[-?])(?P<rest>[^}]*))?\}")


def secrets() -> dict[str, str]:
    """What infra/compose/secrets.sh prints, as Compose reads it from .env: single quotes mean literally."""
    done = subprocess.run([ROOT / "infra/compose/secrets.sh"], capture_output=True, text=True, check=True)
    pairs = (line.split("=", 1) for line in done.stdout.splitlines())
    return {name: value.strip("'") for name, value in pairs}


def interpolate(text: object, given: dict[str, str]) -> str:
    """As Compose does it. Raises LookupError for a variable that has neither a value nor a default."""

    def value(match: re.Match[str]) -> str:
        if given.get(match["name"]):
            return given[match["name"]]
        if match["mark"] != ":-":
            raise LookupError(match["rest"])
        return match["rest"]

    return _VARIABLE.sub(value, str(text))


def image_of(service: dict[str, Any]) -> str:
    return str(service["image"]).partition(":")[0]


def environment(name: str, given: dict[str, str]) -> dict[str, str]:
    """What the process finds: the image's ENV under that of the service."""
    own = {key: interpolate(value, given) for key, value in OURS[name]["environment"].items()}
    return IMAGES[image_of(OURS[name])].environment | own


def hosts(name: str) -> set[tuple[str, str]]:
    """(host, port) of whatever the service's environment names by default."""
    given = {"PARLEY_SERVICE_TOKEN": "-", "PARLEY_AUTH_SIGNING_KEY": "-"}
    values = [interpolate(value, given) for value in OURS[name]["environment"].values()]
    return {found for value in values for found in re.findall(r"(?:^|/|,)([a-z]+):(\d+)", value)}


def test_the_profiles_are_what_the_readme_says() -> None:
    chosen = {name: set(service["profiles"]) for name, service in SERVICES.items()}
    assert chosen == {name: {profile} for profile, names in PROFILES.items() for name in names}


@each_service
def test_images_are_official_or_ours_and_exact(name: str) -> None:
    image = SERVICES[name]["image"]
    if name in OFFICIAL:
        assert image == OFFICIAL[name]
        return
    assert image == f"{image_of(OURS[name])}:{VERSION}"
    assert OURS[name]["build"]["dockerfile"] == f"{IMAGES[image_of(OURS[name])].folder}/Dockerfile"
    assert (ROOT / OURS[name]["build"]["context"]).resolve() == ROOT


@each_of_ours
def test_the_environment_starts_the_process_on_the_real_servers(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every PARLEY_ name is a setting of the process, none that it needs is missing, and production accepts them."""
    kind, found = settings_of(image_of(OURS[name])), environment(name, secrets())
    fields = {f"PARLEY_{field.upper()}" for field in kind.model_fields}
    assert {key for key in found if key.startswith("PARLEY_")} <= fields
    monkeypatch.chdir(tmp_path)
    for key, value in found.items():
        if key.startswith("PARLEY_"):
            monkeypatch.setenv(key, value)
    settings: Any = kind.load()
    assert settings.env == "production"
    for server in ("mongo_url", "cassandra_hosts", "kafka_servers", "redis_urls"):
        if server in kind.model_fields:
            assert getattr(settings, server), f"{name} would not use {server}"


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_each_backend_of_a_worker_can_be_chosen(name: str) -> None:
    """What the openai backend needs reaches it too."""
    chosen = {"PARLEY_WORKER_BACKEND": "openai", "PARLEY_OPENAI_URL": "http://vllm.example:8000/v1"}
    optional = {f"PARLEY_OPENAI_{setting}": "-" for setting in ("API_KEY", "MODEL", "DIALECT", "CONTEXT_LENGTH")}
    given = chosen | optional
    assert given.items() <= environment(name, secrets() | given).items()


def test_the_signing_key_that_we_make_is_one() -> None:
    ring = parse_ring(secrets()["PARLEY_AUTH_SIGNING_KEY"], "", ("key", "previous"))
    assert ring.signing.is_private


@each_of_ours
def test_without_its_secrets_nothing_starts(name: str) -> None:
    needed = re.findall(r"\$\{(\w+):\?", str(OURS[name]["environment"]))
    assert set(needed) == {key for key in OURS[name]["environment"] if key.endswith(("SIGNING_KEY", "SERVICE_TOKEN"))}
    if needed:
        with pytest.raises(LookupError, match=r"secrets\.sh makes one"):
            environment(name, {})


@each_of_ours
def test_what_it_calls_is_started_before_it_and_within_its_reach(name: str) -> None:
    called = {host for host, _ in hosts(name)}
    assert called == set(OURS[name]["depends_on"])
    for host in called:
        assert set(OURS[name]["networks"]) & set(SERVICES[host]["networks"]), host
    for host, dependency in OURS[name]["depends_on"].items():
        assert dependency["condition"] == "service_healthy"
        assert SERVICES[host]["profiles"] == OURS[name]["profiles"] or not dependency["required"]


@each_of_ours
def test_the_ports_are_those_that_listen(name: str) -> None:
    """Of a service of ours: the ports of its image. Of a server: the port of its health check."""
    for host, port in hosts(name):
        if host in OURS:
            assert port in IMAGES[image_of(OURS[host])].environment.values(), f"{host}:{port}"
        else:
            assert re.search(rf"\b{port}\b", " ".join(SERVICES[host]["healthcheck"]["test"])), f"{host}:{port}"


@each_of_ours
def test_ready_means_ready(name: str) -> None:
    (*_, script) = OURS[name]["healthcheck"]["test"]
    found = IMAGES[image_of(OURS[name])].environment
    port = found.get("PARLEY_HEALTH_PORT") or found["PARLEY_GATEWAY_PORT"]
    assert f"http://127.0.0.1:{port}/readyz" in script
    compile(script, name, "exec")


def test_the_databases_are_out_of_reach_for_gateways_and_workers() -> None:
    near = {name for name, service in SERVICES.items() if "stores" in service["networks"]}
    assert near == {"cassandra", "mongodb", "auth", "conversation"}
    assert all(COMPOSE["networks"][name]["internal"] for name in ("queues", "stores"))


def test_only_the_gateway_is_published_and_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["gateway"]
    assert [interpolate(port, {}) for port in published["gateway"]] == ["127.0.0.1:8080:8080"]


@each_service
def test_everything_is_bounded_watched_and_restarted(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert re.fullmatch(r"\d+[mg]", service["deploy"]["resources"]["limits"]["memory"])
    assert "no-new-privileges:true" in service["security_opt"]


@each_of_ours
def test_our_services_can_write_nowhere_and_have_no_rights(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert not {"privileged", "user", "cap_add", "network_mode"} & set(service)
    assert int(service["stop_grace_period"].removesuffix("s")) > 15, "a drain is allowed 15 s"


def test_volumes_and_networks_are_declared_and_used() -> None:
    mounts = [interpolate(mount, {}) for service in SERVICES.values() for mount in service.get("volumes", ())]
    assert {mount.partition(":")[0] for mount in mounts} == set(COMPOSE["volumes"])
    assert {network for service in SERVICES.values() for network in service["networks"]} == set(COMPOSE["networks"])


def test_the_gpu_worker_reserves_a_gpu() -> None:
    (device,) = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


def test_the_mongodb_check_founds_the_replica_set_that_clients_name() -> None:
    command, check = SERVICES["mongodb"]["command"], SERVICES["mongodb"]["healthcheck"]["test"][-1]
    name = command[command.index("--replSet") + 1]
    assert f"_id: '{name}'" in check
    assert f"replicaSet={name}" in TEXT
    assert "NotYetInitialized" in check, "an unreachable replica set must never be founded anew"


def test_the_example_names_what_compose_reads() -> None:
    example = (ROOT / ".env.example").read_text()
    named = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", example, re.MULTILINE))
    read = {match["name"] for match in _VARIABLE.finditer(TEXT)} | {"COMPOSE_PROFILES"}
    assert set(named) <= read
    assert not {"PARLEY_SERVICE_TOKEN", "PARLEY_AUTH_SIGNING_KEY"} & set(named), "secrets have no example"


def test_every_process_has_a_service() -> None:
    assert {image_of(service) for service in OURS.values()} == set(PROCESSES)
