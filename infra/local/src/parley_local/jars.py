"""The jars of Kafka and Cassandra: fetched by Maven, compared with a committed manifest, kept in the user's cache.

A folder of the cache is complete and was verified, or it is not there: it is made elsewhere and moved into place.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from parley_kit.settings import ConfigError
from parley_local.java import find_maven

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
MANIFEST = "jars.sha256"
FETCH_SECONDS = 600
SAID_BYTES = 2000


@dataclass(frozen=True, slots=True)
class JarSet:
    """The jars of one server: resources/<name> has Maven's description and the manifest."""

    name: str
    resources: Traversable
    cache: Path

    @property
    def manifest(self) -> str:
        """Lines of `sha256  file name`, as sha256sum reads them."""
        return self.resources.joinpath(MANIFEST).read_text()

    @property
    def folder(self) -> Path:
        """Where the jars of this very manifest are once they are installed."""
        return self.cache / f"{self.name}-{hashlib.sha256(self.manifest.encode()).hexdigest()[:12]}"

    @property
    def archive(self) -> Path:
        """Where the classes of these jars are once they were archived."""
        return self.folder / "classes.jsa"

    def install(self) -> Path:
        """The folder with the jars, fetched if need be. Any number of processes may call it at once.

        Raises ConfigError when Maven is missing or fails, or when a jar is not the one of the manifest.
        """
        if self.folder.is_dir():
            return self.folder
        self.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.cache, prefix=f".{self.name}-") as scratch:
            fetched = self.fetch(Path(scratch))
            verify(fetched, self.manifest)
            _move_into_place(fetched, self.folder)
        return self.folder

    def fetch(self, scratch: Path) -> Path:
        """Have Maven copy the jars below `scratch`. Returns their folder, not yet verified."""
        target = scratch / "jars"
        (scratch / "pom.xml").write_bytes(self.resources.joinpath("pom.xml").read_bytes())
        command = [str(find_maven()), "-B", "-q", PLUGIN, f"-DoutputDirectory={target}", "-DincludeScope=runtime"]
        try:
            subprocess.run(
                command, cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, timeout=FETCH_SECONDS, check=True
            )
        except subprocess.CalledProcessError as error:
            said = (error.stdout + error.stderr).decode(errors="replace")[-SAID_BYTES:]
            raise ConfigError(f"Maven could not fetch the jars of {self.name}:\n{said}") from None
        except subprocess.TimeoutExpired:
            raise ConfigError(f"Maven did not fetch the jars of {self.name} in {FETCH_SECONDS} s") from None
        return target


def jar_set(name: str) -> JarSet:
    """The jars of `kafka` or `cassandra`, in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "parley"
    return JarSet(name, files("parley_local") / "resources" / name, cache)


def describe(folder: Path) -> str:
    """The manifest of the jars in `folder`."""
    return "".join(f"{_digest(jar)}  {jar.name}\n" for jar in sorted(folder.glob("*.jar")))


def verify(folder: Path, manifest: str) -> None:
    """Raises ConfigError, naming the jars, unless `folder` holds exactly those of the manifest."""
    wanted, found = set(manifest.splitlines()), set(describe(folder).splitlines())
    if wanted != found:
        names = ", ".join(sorted({line.split()[-1] for line in wanted ^ found}))
        raise ConfigError(f"these jars are not the ones that {MANIFEST} lists, so they are not used: {names}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _move_into_place(fetched: Path, folder: Path) -> None:
    try:
        fetched.rename(folder)
    except OSError:  # another process was first: its folder was verified as well
        if not folder.is_dir():
            raise


def write_manifest(name: str) -> Path:
    """Describe anew what Maven fetches for `name`, in the source tree, for a person to review and commit."""
    jars = jar_set(name)
    target = Path(str(jars.resources)) / MANIFEST
    with tempfile.TemporaryDirectory() as scratch:
        target.write_text(describe(jars.fetch(Path(scratch))))
    return target


def main() -> None:
    """`python -m parley_local.jars kafka cassandra`: the maintainer's command after a change of a pom.xml."""
    for name in sys.argv[1:]:
        print(write_manifest(name))  # noqa: T201 - a command's output


if __name__ == "__main__":
    main()
