"""What a cluster keeps where in its data folder."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from parley_local.folders import make_folder, write

MARK = "PARLEY_CLUSTER_RUN"
"""The variable by which every process of a cluster is known: its value is the cluster's run folder."""


@dataclass(frozen=True, slots=True)
class Layout:
    """`data_dir` is absolute. The servers' folders are named as the servers."""

    data_dir: Path

    @property
    def run(self) -> Path:
        """Pid files, ports, start scripts: what describes the cluster as it runs."""
        return self.data_dir / "run"

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs"

    @property
    def lock(self) -> Path:
        """Held by `up`, with its process id in it."""
        return self.run / "cluster.lock"

    @property
    def supervisor_pid(self) -> Path:
        return self.run / "supervisord.pid"

    def pid_file(self, name: str) -> Path:
        return self.run / f"{name}.pid"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def make(self) -> None:
        """The folders, for their owner alone."""
        for folder in (self.data_dir, self.run, self.logs):
            make_folder(folder)

    def service_token(self) -> str:
        """The secret between the services, made at the first start."""
        file = self.data_dir / "service-token"
        if not file.exists():
            write(file, secrets.token_urlsafe(32))
        return file.read_text()
