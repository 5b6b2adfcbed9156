"""The checks. Each looks at one thing, changes nothing that stays, and says how to put right what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import httpx

from parley_kit.loopback import is_loopback
from parley_kit.settings import ConfigError, prepare_data_dir
from parley_standalone.instance import find_instance

GIB = 1024**3
LEAST_DISK_BYTES = GIB
TORCH_TIMEOUT = 60.0
HTTP_TIMEOUT = 3.0


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `fix` says what to do when it is not OK. A PROBLEM keeps `parley run` from working."""

    name: str
    status: Status
    detail: str
    fix: str = ""


def check_python() -> Finding:
    """Which one it is: the packages themselves refuse a Python that is too old."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", Status.OK, f"{version} at {sys.executable}")


def check_data_dir(data_dir: Path) -> Finding:
    shown = str(data_dir.resolve())
    missing = [folder for folder in (data_dir, *data_dir.parents) if not _exists(folder)]
    try:
        prepare_data_dir(data_dir)
    except ConfigError as error:
        return Finding("data folder", Status.PROBLEM, str(error), "make it writable, or set PARLEY_DATA_DIR elsewhere")
    finally:
        for folder in missing:
            with suppress(OSError):  # it could not be made, or a platform that starts just now has put something in it
                folder.rmdir()
    return Finding("data folder", Status.OK, f"{shown} (made at the first start)" if missing else shown)


def check_disk(data_dir: Path) -> Finding:
    place = data_dir.resolve()
    while not _exists(place):
        place = place.parent
    free = shutil.disk_usage(place).free
    detail = f"{free / GIB:.1f} GiB free at {place}"
    if free < LEAST_DISK_BYTES:
        return Finding("disk", Status.PROBLEM, detail, "free at least 1 GiB, or set PARLEY_DATA_DIR to another disk")
    return Finding("disk", Status.OK, detail)


def _exists(path: Path) -> bool:
    """False also for what may not be looked at, where pathlib raises."""
    try:
        return path.exists()
    except OSError:
        return False


def check_port(host: str, port: int, data_dir: Path) -> Finding:
    try:
        with socket.create_server((host, port)):
            return Finding("port", Status.OK, f"{host}:{port} is free")
    except OSError as error:
        reason = error.strerror or str(error)
    instance = find_instance(data_dir)
    if instance is not None and instance.url.endswith(f":{port}"):
        return Finding("port", Status.OK, f"{port} is used by this platform itself (process {instance.pid})")
    fix = f"stop what listens there (`ss -ltnp 'sport = :{port}'`), or set PARLEY_GATEWAY_PORT to another port"
    return Finding("port", Status.PROBLEM, f"{host}:{port}: {reason}", fix)


def check_model(folder: Path) -> Finding:
    """Whether a Hugging Face checkpoint folder has what the engine reads. The engine checks the contents."""
    fix = "set PARLEY_WORKER_MODEL to a complete Hugging Face folder, or leave it out for the bundled model"
    if not folder.is_dir():
        return Finding("model", Status.PROBLEM, f"{folder} is not a folder", fix)
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    if not any(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
    if missing:
        return Finding("model", Status.PROBLEM, f"{folder} has no {', no '.join(missing)}", fix)
    try:
        kind = json.loads((folder / "config.json").read_text()).get("model_type", "?")
    except (OSError, ValueError, AttributeError) as error:
        return Finding("model", Status.PROBLEM, f"{folder / 'config.json'}: {error}", fix)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return Finding("model", Status.OK, f"{folder.name} ({kind}, {size / 1024**2:.0f} MiB)")


def check_torch() -> Finding:
    """In a process of its own: torch takes seconds and hundreds of megabytes to import."""
    fix = "run `make setup`, or set PARLEY_WORKER_BACKEND=scripted to try the platform without a model"
    program = "import torch; print(torch.__version__, torch.get_num_threads(), torch.cuda.device_count())"
    try:
        done = subprocess.run(  # noqa: S603 - this very interpreter, with a program of our own
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=TORCH_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding("torch", Status.PROBLEM, f"its import takes over {TORCH_TIMEOUT:.0f} s", fix)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return Finding("torch", Status.PROBLEM, last, fix)
    version, threads, gpus = done.stdout.split()
    where = "CPU only" if gpus == "0" else f"{gpus} GPU"
    return Finding("torch", Status.OK, f"{version}, {threads} threads of {os.cpu_count()} CPUs, {where}")


def check_server(url: str) -> Finding:
    """Whether a server that runs there now would answer a message."""
    try:
        response = httpx.get(f"{url}/readyz", timeout=HTTP_TIMEOUT, trust_env=not is_loopback(url))
        report = response.json()
        parts = {str(name): str(outcome) for name, outcome in report["parts"].items()}
    except httpx.HTTPError:
        return Finding("server", Status.WARNING, f"nothing answers at {url}", "start it with `parley run`")
    except (ValueError, KeyError, AttributeError, TypeError):
        return Finding("server", Status.WARNING, f"{url} is not a Parley server", "set PARLEY_GATEWAY_PORT")
    if response.status_code == httpx.codes.OK:
        return Finding("server", Status.OK, f"{url} is ready")
    unwell = "; ".join(f"{name}: {outcome}" for name, outcome in parts.items() if outcome != "ok")
    return Finding("server", Status.WARNING, f"{url} is not ready: {unwell}", "wait, or look at its logs")
