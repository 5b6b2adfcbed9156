"""What an image is made of, read from its Dockerfile; and which settings its process reads."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parley_kit.settings import Settings

ROOT = Path(__file__).parents[2]
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
DOCKERFILES = sorted([*ROOT.glob("services/*/Dockerfile"), ROOT / "gpu-worker" / "Dockerfile"])
PROCESSES = {
    "parley-auth": "parley_auth.__main__",
    "parley-conversation": "parley_conversation.__main__",
    "parley-gateway": "parley_gateway.__main__",
    "parley-worker": "parley_worker.process",
}


@dataclass(frozen=True)
class Instruction:
    """`stage` counts FROM lines, from 1 on."""

    stage: int
    name: str
    text: str

    def command(self) -> list[str]:
        """The exec form. Raises ValueError for a shell form, which would not hand signals on."""
        command = json.loads(self.text)
        if not isinstance(command, list):
            raise ValueError(self.text)
        return command


@dataclass(frozen=True)
class Dockerfile:
    path: Path
    instructions: Sequence[Instruction]

    @property
    def folder(self) -> str:
        """The member that it makes an image of."""
        return str(self.path.parent.relative_to(ROOT))

    @property
    def image(self) -> str:
        """The image's name, from its label."""
        (title,) = re.findall(r'image\.title="([^"]+)"', " ".join(self.texts("LABEL")))
        return str(title)

    def texts(self, name: str, stage: int | None = None) -> list[str]:
        return [it.text for it in self.instructions if it.name == name and stage in (None, it.stage)]

    @property
    def environment(self) -> dict[str, str]:
        """ENV of the final stage."""
        pairs = " ".join(self.texts("ENV", 2)).split()
        return dict(pair.split("=", 1) for pair in pairs)

    @property
    def health_command(self) -> list[str]:
        (check,) = self.texts("HEALTHCHECK")
        return Instruction(2, "CMD", check.partition("CMD ")[2]).command()


def read_dockerfile(path: Path) -> Dockerfile:
    stage, found = 0, []
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        name, _, text = line.partition(" ")
        stage += name == "FROM"
        found.append(Instruction(stage, name, text.strip()))
    return Dockerfile(path, found)


def settings_of(image: str) -> type[Settings]:
    """The class that the image's process reads from its environment."""
    kind: type[Settings] = importlib.import_module(PROCESSES[image]).ProcessSettings
    return kind
