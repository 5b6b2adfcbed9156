"""What `make setup` does for the servers."""

from __future__ import annotations

from collections.abc import Callable

from parley_local.archives import archive_classes
from parley_local.jars import jar_set
from parley_local.java import find_command, find_java


def install_servers(say: Callable[[str], None]) -> None:
    """Make sure that all servers could be started here. Raises ConfigError, naming what is missing."""
    find_java()
    find_command("redis-server", "Redis")
    for name in ("kafka", "cassandra"):
        jars = jar_set(name)
        if not jars.folder.is_dir():
            say(f"fetching {name} with Maven")
            jars.install()
        if not jars.archive.exists():
            say(f"preparing a quick start of {name}")
            archive_classes(name)
