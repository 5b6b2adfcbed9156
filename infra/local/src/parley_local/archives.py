"""Archives of the classes that a server loads, made once at the installation: it then starts with half the work.

Java reads such an archive only with the very jars and the very JVM that it was made with, and does without otherwise.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from parley_kit.settings import ConfigError
from parley_local import servers
from parley_local.child import ServerFailed, ServerProcess
from parley_local.jars import jar_set
from parley_local.java import archiving_options
from parley_local.ports import Ports
from parley_local.program import PortOf, Server

WRITE_SECONDS = 60.0
MAKERS: dict[str, Callable[[Path, PortOf], Server]] = {"kafka": servers.kafka, "cassandra": servers.cassandra}


def archive_classes(name: str) -> None:
    """Run the server of the installed jars once and keep the classes that it needed for its start.

    Raises ConfigError when it does not come up, so that an installation that is no good is seen at once.
    """
    archive = jar_set(name).archive
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".archive-") as scratch:
        folder, draft = Path(scratch), Path(scratch) / "classes.jsa"
        server = ServerProcess(MAKERS[name](folder, Ports()), folder / "log", archiving_options(draft))
        try:
            server.start()
            server.stop(WRITE_SECONDS)
        except ServerFailed as error:
            raise ConfigError(str(error)) from None
        finally:
            server.kill()
        if draft.exists():
            draft.rename(archive)
