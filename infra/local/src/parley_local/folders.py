"""Files that the servers read, written so that a half-written one is never there."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

OWN = 0o700


def make_folder(path: Path) -> Path:
    """The folder, made if need be, for its owner alone."""
    path.mkdir(parents=True, exist_ok=True, mode=OWN)
    return path


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    """Replace the file's text in one step."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.rename(path)
    return path


def resource(name: str, file: str) -> str:
    """The text of a file that comes with this package for the server `name`."""
    return files("parley_local").joinpath("resources", name, file).read_text()


def copy_resource(name: str, file: str, folder: Path) -> Path:
    """That file, in a server's folder."""
    return write(folder / file, resource(name, file))
