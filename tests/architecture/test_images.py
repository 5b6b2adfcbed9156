"""The Dockerfiles, as far as they can be judged without an engine to build them with.

Each image holds its member, the members that this one needs and their packages at the versions of constraints.txt.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.images import DOCKERFILES, PROCESSES, ROOT, VERSION, Dockerfile, read_dockerfile, settings_of

INSTALL = runpy.run_path(str(ROOT / "infra" / "images" / "install.py"))
BUILD = ROOT / "infra" / "images" / "build.sh"
IMAGES = {image.image: image for image in map(read_dockerfile, DOCKERFILES)}
each_image = pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
each_process = pytest.mark.parametrize("name", PROCESSES)


def closure(image: Dockerfile) -> tuple[list[str], list[str]]:
    members, packages = INSTALL["Tree"](ROOT).closure(image.folder)
    return members, packages


def test_every_service_has_an_image() -> None:
    mains = [*ROOT.glob("services/*/src/*/__main__.py"), *ROOT.glob("gpu-worker/src/*/__main__.py")]
    assert {path.parents[2] for path in mains} == {path.parent for path in DOCKERFILES}


@each_image
def test_the_base_is_one_exact_slim_python(image: Dockerfile) -> None:
    tags = {text.split()[0] for other in IMAGES.values() for text in other.texts("FROM")}
    assert len(tags) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", tags.pop())
    assert len(image.texts("FROM")) == 2, "what builds stays out of what runs"


@each_image
def test_the_service_is_process_one_and_not_root(image: Dockerfile) -> None:
    """Exec form: a shell before it would swallow SIGTERM. Nothing is done as root after the user is set."""
    last = [it for it in image.instructions if it.stage == 2]
    (entrypoint,) = (it for it in last if it.name == "ENTRYPOINT")
    python, flag, module, *_ = entrypoint.command()
    assert (python, flag) == ("python", "-m")
    assert list((ROOT / image.folder / "src").glob(f"{module}/__main__.py"))
    (user,) = (it for it in last if it.name == "USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user.text)
    assert not {"RUN", "COPY", "ADD"} & {it.name for it in last[last.index(user) :]}


@each_image
def test_it_copies_what_its_member_needs(image: Dockerfile) -> None:
    """First the pyproject.toml of each member, so that the packages stay a layer of their own; then the members."""
    members, _ = closure(image)
    copied = [source for text in image.texts("COPY", 1) for source in text.split()[:-1]]
    manifests = [f"{member}/pyproject.toml" for member in members]
    assert sorted(copied) == sorted(["constraints.txt", "infra/images/install.py", *members, *manifests])
    assert not [source for source in copied if is_ignored(source) or not (ROOT / source).exists()]
    runs = [it for it in image.instructions if (it.stage, it.name) == (1, "RUN") and it.text.startswith("[")]
    assert [run.command() for run in runs] == [
        ["python", "install.py", step, image.folder] for step in ("dependencies", "members")
    ]


@each_image
def test_whoever_computes_brings_its_kernels(image: Dockerfile) -> None:
    """They are compiled where there is a compiler, and the image that runs has none."""
    built = any("parley_worker.native.build packaged" in text for text in image.texts("RUN", 1))
    assert built is ("torch" in closure(image)[1])


def test_a_member_that_was_not_copied_is_not_fetched_from_elsewhere(tmp_path: Path) -> None:
    """Its name on a package index could be anybody's."""
    (tmp_path / "services" / "auth").mkdir(parents=True)
    shutil.copy(ROOT / "services" / "auth" / "pyproject.toml", tmp_path / "services" / "auth")
    with pytest.raises(SystemExit, match=r"parley-\S+ is a member"):
        INSTALL["Tree"](tmp_path).closure("services/auth")


@each_image
def test_every_package_is_pinned(image: Dockerfile) -> None:
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert not installed(closure(image)[1]) - pinned


def installed(packages: list[str]) -> set[str]:
    """The distributions that installing `packages` brings along, on this platform."""
    waiting, found = [Requirement(package) for package in packages], set[str]()
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        found.add(canonicalize_name(requirement.name))
        waiting.extend(_needs(requirement))
    return found


def _needs(requirement: Requirement) -> Iterator[Requirement]:
    environments = [{"extra": extra} for extra in ("", *requirement.extras)]
    for text in requires(requirement.name) or ():
        needed = Requirement(text)
        if needed.marker is None or any(map(needed.marker.evaluate, environments)):
            yield needed


@each_process
def test_it_holds_what_the_process_imports(name: str) -> None:
    """The process can be loaded while every package that its image lacks is hidden."""
    members, packages = closure(IMAGES[name])
    held = installed(packages) | {
        tomllib.loads((ROOT / it / "pyproject.toml").read_text())["project"]["name"] for it in members
    }
    owners = packages_distributions()
    lacking = [module for module, dists in owners.items() if not {canonicalize_name(dist) for dist in dists} & held]
    assert "pytest" in lacking
    script = HIDING.format(lacking=lacking, module=PROCESSES[name])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


HIDING = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {lacking!r}:
            raise ModuleNotFoundError(name + " is not in the image", name=name)

sys.meta_path.insert(0, Hidden())
import {module}
"""


@each_process
def test_its_environment_is_made_of_settings(name: str) -> None:
    environment = IMAGES[name].environment
    fields = {f"PARLEY_{field.upper()}" for field in settings_of(name).model_fields}
    assert not {variable for variable in environment if variable.startswith("PARLEY_")} - fields
    assert environment["PARLEY_DATA_DIR"] == "/var/lib/parley"


@each_image
def test_its_health_is_asked_where_it_listens(image: Dockerfile) -> None:
    environment = image.environment
    port = environment.get("PARLEY_HEALTH_PORT") or environment["PARLEY_GATEWAY_PORT"]
    assert f"http://127.0.0.1:{port}/livez" in " ".join(image.health_command)
    listening = {value for variable, value in environment.items() if variable.endswith("_PORT")}
    assert set(" ".join(image.texts("EXPOSE")).split()) == listening


@each_image
def test_it_brings_no_secret(image: Dockerfile) -> None:
    text = image.path.read_text()
    assert not re.search(r"TOKEN|SECRET|PASSWORD|_KEY|MONGO_URL", text)


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        (".env", True),
        (".git/config", True),
        (".parley/keys/signing.pem", True),
        ("services/auth/.env", True),
        ("services/auth/tests/test_grpc.py", True),
        ("services/auth/src/parley_auth/__pycache__/settings.pyc", True),
        ("gpu-worker/train/parley_train/corpus.py", True),
        ("infra/local/pyproject.toml", True),
        ("infra/images/install.py", False),
        ("constraints.txt", False),
        ("services/auth/src/parley_auth/testing/contract.py", False),
        ("gpu-worker/src/parley_worker/bundled/parley-small/model.safetensors", False),
    ],
)
def test_the_build_context_holds_sources_and_no_data(path: str, ignored: bool) -> None:
    assert is_ignored(path) is ignored


def is_ignored(path: str) -> bool:
    """As Docker reads .dockerignore: the last pattern that matches the path or a folder above it decides."""
    verdict = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern, negated = line.removeprefix("!"), line.startswith("!")
        if pattern and not pattern.startswith("#") and _matches(pattern, path):
            verdict = not negated
    return verdict


def _matches(pattern: str, path: str) -> bool:
    parts = (re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*"),)
    return re.fullmatch(f"{parts[0]}(?:/.*)?", path) is not None


def run_build(path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", BUILD], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )


def tools(folder: Path, docker: str | None) -> str:
    """A PATH with what the script needs, and with this docker or none."""
    for tool in ("sed", "git", "dirname"):
        (folder / tool).symlink_to(str(shutil.which(tool)))
    if docker is not None:
        (folder / "docker").write_text(f"#!/bin/bash\n{docker}\n")
        (folder / "docker").chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(("docker", "line"), [(None, "needs Docker"), ("exit 1", "no engine answers")])
def test_without_docker_the_build_says_so(tmp_path: Path, docker: str | None, line: str) -> None:
    done = run_build(tools(tmp_path, docker))
    assert done.returncode == 2
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_build_makes_every_image(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    assert run_build(tools(tmp_path, f'echo "$*" >> {calls}')).returncode == 0
    built = [line for line in calls.read_text().splitlines() if line.startswith("build ")]
    assert len(built) == len(IMAGES)
    for name, image in IMAGES.items():
        assert any(f"--file {image.folder}/Dockerfile --tag {name}:{VERSION} " in line for line in built)
