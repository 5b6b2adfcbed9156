"""Builds what the engine is compared with: llama.cpp's server and library, and the gguf package to write its files.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/peers.py

Everything goes to ~/.cache/parley/bench-peers (PARLEY_BENCH_CACHE names another place): no dependency of the project.
llama.cpp is the one inside llama-cpp-python's source distribution, compiled once (some ten minutes on two cores) in its
release build for this very processor; cmake and a C++ compiler must be there. transformers is in the project's own
environment, for its tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

BINDING = "llama-cpp-python==0.3.36"
SOURCE = "llama_cpp_python-0.3.36"
PACKAGES = ("gguf==0.19.0", "numpy==2.4.6", "scikit-build-core==0.12.2")
LLAMA_OPTIONS = (
    "CMAKE_BUILD_TYPE=Release",
    "GGML_NATIVE=ON",
    "LLAMA_BUILD_TESTS=OFF",
    "LLAMA_BUILD_EXAMPLES=OFF",
    "LLAMA_BUILD_APP=OFF",
    "LLAMA_BUILD_SERVER=ON",
    "LLAMA_BUILD_UI=OFF",
    "LLAMA_USE_PREBUILT_UI=OFF",
    "LLAMA_OPENSSL=OFF",
    "CMAKE_CXX_FLAGS=-w",
)


@dataclass(frozen=True, slots=True)
class Peers:
    """`python` can import gguf and llama_cpp when it runs in `environment`; `server` is llama-server."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"

    @property
    def libraries(self) -> Path:
        return self.folder / "build" / "bin"

    @property
    def server(self) -> Path:
        return self.libraries / "llama-server"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "LLAMA_CPP_LIB_PATH": str(self.libraries), "PYTHONPATH": ""}


def cache_folder() -> Path:
    """Where benches keep what takes long to make."""
    return Path(os.environ.get("PARLEY_BENCH_CACHE", Path.home() / ".cache" / "parley"))


def ensure_peers() -> Peers:
    """The peers, built now if they are not there yet. CalledProcessError: the compiler's own words are above."""
    peers = ensure_converter()
    if not peers.server.exists():
        _build_server(peers)
    if not _imports(peers, "llama_cpp"):
        _install_binding(peers)
    return peers


def ensure_converter() -> Peers:
    """The peers as far as the gguf package goes, which needs no compiler."""
    peers = Peers(cache_folder() / "bench-peers")
    if not peers.python.exists():
        _run(sys.executable, "-m", "venv", str(peers.folder / "venv"))
    if not _imports(peers, "gguf"):
        _run(str(peers.python), "-m", "pip", "install", "--quiet", *PACKAGES)
    return peers


def _build_server(peers: Peers) -> None:
    source = _source(peers) / "vendor" / "llama.cpp"
    build = peers.folder / "build"
    _run("cmake", "-S", str(source), "-B", str(build), *(f"-D{option}" for option in LLAMA_OPTIONS))
    _run("cmake", "--build", str(build), "--target", "llama-server", "-j", str(os.cpu_count() or 1))


def _install_binding(peers: Peers) -> None:
    """The Python half alone: it loads the libraries that the server was built with."""
    options = {**os.environ, "CMAKE_ARGS": "-DLLAMA_BUILD=OFF"}
    _run(str(peers.python), "-m", "pip", "install", "--quiet", str(_source(peers)), environment=options)


def _source(peers: Peers) -> Path:
    folder = peers.folder / SOURCE
    if not folder.exists():
        options = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--dest", str(peers.folder))
        _run(str(peers.python), "-m", "pip", "download", "--quiet", *options, BINDING)
        with tarfile.open(next(peers.folder.glob(f"{SOURCE}*.tar.gz"))) as archive:
            archive.extractall(peers.folder, filter="data")
    return folder


def _imports(peers: Peers, package: str) -> bool:
    command = (str(peers.python), "-c", f"import {package}")
    return subprocess.run(command, env=peers.environment, check=False, capture_output=True).returncode == 0


def _run(*command: str, environment: dict[str, str] | None = None) -> None:
    print("+", " ".join(command), flush=True)
    subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    print(ensure_peers().server)
