"""MongoDB: `mongod` where it is on PATH, else SecantusDB, a server of the same wire protocol from PyPI."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley_kit.settings import ConfigError
from parley_local.folders import make_folder
from parley_local.program import NotReady, Program, require_listener

CHECK_SECONDS = 2.0
NOT_YET_INITIALIZED = 94


@dataclass(frozen=True, slots=True)
class MongoDB:
    """An acknowledged w:majority write is in the synced journal.

    mongod runs as a replica set of one, since only then does w:majority wait for the journal. SecantusDB needs
    --sync-on-commit for the same: without it, SIGKILL lost 65 of 10,613 acknowledged writes here; with it, none.
    """

    folder: Path
    port: int

    @property
    def name(self) -> str:
        return "mongodb"

    @property
    def address(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    @property
    def title(self) -> str:
        """Which server this machine runs."""
        return "mongod" if shutil.which("mongod") else "SecantusDB"

    def prepare(self) -> Program:
        data = str(make_folder(self.folder / "data"))
        command = self._mongod(data) if self.title == "mongod" else self._secantus(data)
        return Program(self.name, command, self.folder)

    def _mongod(self, data: str) -> tuple[str, ...]:
        place = ("--dbpath", data, "--port", str(self.port), "--bind_ip", "127.0.0.1")
        return (str(shutil.which("mongod")), *place, "--replSet", "parley", "--wiredTigerCacheSizeGB", "0.25")

    def _secantus(self, data: str) -> tuple[str, ...]:
        command = Path(sys.executable).parent / "secantusd-py"
        if not command.exists():
            raise ConfigError("there is no mongod on PATH, and SecantusDB is not installed: make setup")
        # Its configuration file is looked for in the folder and the home; an empty one of ours keeps others out.
        config = self.folder / "secantusd.toml"
        config.touch(mode=0o600)
        place = ("--config", str(config), "--storage-path", data, "--host", "127.0.0.1", "--port", str(self.port))
        return (str(command), *place, "--cache-size", "256M", "--sync-on-commit", "--log-level", "WARNING")

    def check(self) -> None:
        """Asks for a primary; a mongod that is new is made the replica set's only member."""
        require_listener(self.port)
        from pymongo import MongoClient
        from pymongo.errors import PyMongoError

        milliseconds = int(CHECK_SECONDS * 1000)
        client: MongoClient[dict[str, Any]] = MongoClient(
            self.address,
            directConnection=True,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds,
        )
        try:
            if not client.admin.command("hello").get("isWritablePrimary"):
                self._initiate(client)
                raise NotReady("MongoDB: no primary yet")
        except PyMongoError as error:
            raise NotReady(f"MongoDB: {error}") from error
        finally:
            client.close()

    def _initiate(self, client: Any) -> None:
        """A replica set of this one server, under the port that it has today."""
        from pymongo.errors import OperationFailure

        members = [{"_id": 0, "host": f"127.0.0.1:{self.port}"}]
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code != NOT_YET_INITIALIZED:
                raise
            client.admin.command("replSetInitiate", {"_id": "parley", "members": members})
            return
        if config["members"][0]["host"] != members[0]["host"]:
            config.update(members=members, version=config["version"] + 1)
            client.admin.command("replSetReconfig", config, force=True)
