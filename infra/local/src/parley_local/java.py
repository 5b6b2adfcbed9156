"""The Java that the servers run on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from parley_kit.settings import ConfigError

JAVA_VERSION = 17  # Kafka 4 needs it, and Cassandra 5.0 runs on no later one
INSTALL = "apt-get install openjdk-17-jre-headless maven redis-server"
VERSION_SECONDS = 20
SYSTEM_JVMS = Path("/usr/lib/jvm")
ARCHIVE_WITH_AGENT = ("-XX:+UnlockDiagnosticVMOptions", "-XX:+AllowArchivingWithJavaAgent")


def find_java() -> Path:
    """A Java 17: JAVA_HOME's, the one on PATH, or one where Linux distributions put them. Raises ConfigError."""
    for candidate in _candidates():
        if _version(candidate) == JAVA_VERSION:
            return candidate
    raise ConfigError(
        f"Kafka and Cassandra need Java {JAVA_VERSION}, which JAVA_HOME may name, and there is none here: {INSTALL}"
    )


def find_maven() -> Path:
    """Maven's command. Raises ConfigError."""
    return find_command("mvn", "Maven")


def find_command(command: str, title: str) -> Path:
    """A command on PATH. Raises ConfigError with what installs it."""
    found = shutil.which(command)
    if found is None:
        raise ConfigError(f"{title} is missing ({command} is not on PATH): {INSTALL}")
    return Path(found)


def quick_options(archive: Path) -> tuple[str, ...]:
    """Options for a JVM that is there soon and leaves the cores to others: no second compiler, no profile files,
    and the classes from `archive`, once there is one (see archives.py). Without it, it only starts more slowly.
    """
    quick = ("-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError")
    return (*quick, *ARCHIVE_WITH_AGENT, f"-XX:SharedArchiveFile={archive}") if archive.exists() else quick


def archiving_options(draft: Path) -> tuple[str, ...]:
    """Options for a JVM that at its end writes the classes that it had loaded."""
    return (*ARCHIVE_WITH_AGENT, f"-XX:ArchiveClassesAtExit={draft}")


def _candidates() -> list[Path]:
    home, found = os.environ.get("JAVA_HOME"), shutil.which("java")
    named = [Path(home, "bin", "java")] if home else []
    on_path = [Path(found)] if found else []
    return named + on_path + sorted(SYSTEM_JVMS.glob("*/bin/java"))


@cache
def _version(java: Path) -> int | None:
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=VERSION_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(\d+)', said.stderr)
    return int(match[1]) if match else None
