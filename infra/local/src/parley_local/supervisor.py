"""supervisord keeps the programs running: its configuration, its start scripts, its start."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parley_local.folders import write
from parley_local.layout import MARK, Layout
from parley_local.program import Program

LOG_BYTES, LOG_BACKUPS = 10 * 1024 * 1024, 2


@dataclass(frozen=True, slots=True)
class Group:
    """Programs that are stopped together, after the groups behind them and before those in front of them."""

    name: str
    programs: Sequence[Program]


def start_supervisor(layout: Layout, groups: Sequence[Group]) -> subprocess.Popen[bytes]:
    """Start supervisord, which starts every program, in the session of this process but not in its group:
    a Ctrl-C is for the command in front, which ends the programs in order.

    It listens on nothing: SIGTERM is all that it needs to be told.
    """
    for program in (program for group in groups for program in group.programs):
        write_script(layout, program)
    config = write(layout.run / "supervisord.conf", configuration(layout, groups))
    with (layout.logs / "supervisord.err").open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--configuration", config],
            cwd=layout.data_dir,
            env={**os.environ, MARK: str(layout.run)},
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            process_group=0,
        )


def script_path(layout: Layout, program: Program) -> Path:
    """The script that starts `program`."""
    return layout.run / f"{program.name}.sh"


def write_script(layout: Layout, program: Program) -> None:
    """A shell script that leaves the pid file and then becomes the program, so that the pid is the program's own.

    Settings stand there rather than in supervisord's configuration, which expands what it reads.
    """
    pid, draft = layout.pid_file(program.name), layout.run / f".{program.name}.pid"
    exports = [f"export {name}={shlex.quote(value)}" for name, value in sorted(program.environment.items())]
    lines = [
        "#!/bin/sh",
        f"# Starts {program.name}; written by parley-local at each start of the cluster.",
        "set -eu",
        *exports,
        f"cd {shlex.quote(str(program.folder))}",
        f"echo $$ > {shlex.quote(str(draft))}",
        f"mv {shlex.quote(str(draft))} {shlex.quote(str(pid))}",
        f"exec {shlex.join(program.command)}",
    ]
    write(script_path(layout, program), "\n".join(lines) + "\n", mode=0o700)


def configuration(layout: Layout, groups: Sequence[Group]) -> str:
    """supervisord's configuration. Groups start in order and stop in reverse, one after the other.

    Its paths are relative to the data folder: supervisord would expand what stands in a name like `100%`.
    """
    head = f"""\
[supervisord]
silent=true
logfile={_relative(layout, layout.log("supervisord"))}
logfile_maxbytes={LOG_BYTES}
logfile_backups={LOG_BACKUPS}
pidfile={_relative(layout, layout.supervisor_pid)}
"""
    parts = [head]
    for priority, group in enumerate(groups):
        names = ",".join(program.name for program in group.programs)
        parts.append(f"[group:{group.name}]\nprograms={names}\npriority={priority}\n")
        parts += [_program(layout, program) for program in group.programs]
    return "\n".join(parts)


def _program(layout: Layout, program: Program) -> str:
    """Restarted whatever ends it. One that lives for less than a second is given a little longer each time."""
    return f"""\
[program:{program.name}]
command=/bin/sh {_relative(layout, script_path(layout, program))}
autorestart=true
startsecs=1
startretries=1000000
stopsignal=TERM
stopwaitsecs={program.stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={_relative(layout, layout.log(program.name))}
stdout_logfile_maxbytes={LOG_BYTES}
stdout_logfile_backups={LOG_BACKUPS}
"""


def _relative(layout: Layout, path: Path) -> Path:
    return path.relative_to(layout.data_dir)
