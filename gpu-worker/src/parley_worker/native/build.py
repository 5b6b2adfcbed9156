"""Compiles the library, at `make setup` and wherever it is missing: `python -m parley_worker.native.build`.

A library lies in a cache folder whose name says what it was made of: the sources, the flags and the compiler. A build
that adds one removes those that nobody has used for a month. An image has its libraries beside this file instead, where
its own build puts them with the argument `packaged`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from parley_worker.native.cache import claim, scratch, sweep
from parley_worker.native.errors import NativeUnavailable
from parley_worker.native.processor import Variant, supported, variants
from parley_worker.native.seal import is_whole, seal

logger = logging.getLogger(__name__)

SOURCES = Path(__file__).parent / "csrc"
PACKAGED = Path(__file__).parent / "lib"
_COMPILERS = ("g++", "c++", "clang++")
# Without -ffast-math: NaN has to survive, and sums keep their order. Products are fused only where the source says so.
_FLAGS = ("-std=c++20", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-fPIC", "-pthread")
_LINK = ("-shared", "-Wl,-Bsymbolic")
# Whatever else the process has loaded may bring an older C++ library than the compiler's. Some systems have it as a
# package of its own.
_STATIC = ("-static-libgcc", "-static-libstdc++")
_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Compiler:
    """`command` is the program, with arguments of its own if CXX has any; `version` what it says about itself."""

    command: tuple[str, ...]
    version: str


def find_compiler() -> Compiler:
    """The C++ compiler that CXX names, or else the first there is. Raises NativeUnavailable."""
    named = os.environ.get("CXX")
    for name in (named,) if named else _COMPILERS:
        try:
            command = tuple(shlex.split(name))
        except ValueError as error:
            raise NativeUnavailable(f"CXX is {name!r}: {error}") from error
        if command and shutil.which(command[0]):
            return Compiler(command, _run((*command, "--version")))
    missing = f"{named}, which CXX names, is" if named else f"none of {', '.join(_COMPILERS)} is"
    raise NativeUnavailable(f"no C++ compiler: {missing} installed")


def find_library(variant: Variant) -> Path:
    """The library of a variant; compiled now if it is nowhere, or not whole. Raises NativeUnavailable."""
    packaged = PACKAGED / file_name(variant)
    return packaged if _is_sound(packaged) else build([variant])[0]


def build(wanted: Sequence[Variant], folder: Path | None = None) -> list[Path]:
    """The libraries of these variants, in a folder of one's own or in the cache; what is there is not compiled again.

    Any number of processes may build at once. Raises NativeUnavailable.
    """
    compiler = find_compiler()
    root = folder or _cache()
    folder = folder or root / _digest(compiler.version, *compiler.command)
    paths = [folder / file_name(variant) for variant in wanted]
    try:
        missing = [job for job in zip(wanted, paths, strict=True) if not (claim(root, job[1]) and _is_sound(job[1]))]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            list(threads.map(lambda job: _compile(compiler, root, *job), missing))
    except OSError as error:
        raise NativeUnavailable(f"the library cannot be written: {error}") from error
    if missing and root != folder:
        _sweep(root)
    return paths


def file_name(variant: Variant) -> str:
    """Names the sources too: a library beside other sources than its own is not taken for theirs."""
    return f"parley-{variant.name}-{_digest('sealed', *variant.flags, *_FLAGS, *_LINK, *_read_sources())}.so"


def _is_sound(path: Path) -> bool:
    try:
        if is_whole(path):
            return True
        logger.warning("%s is damaged: it is compiled anew", path)
    except FileNotFoundError:
        pass
    except OSError as error:
        logger.warning("%s cannot be read: it is compiled anew: %s", path, error)
    return False


def _compile(compiler: Compiler, root: Path, variant: Variant, path: Path) -> None:
    """Renamed when it is whole, and on the disk: nobody ever loads half a library."""
    sources = sorted(map(str, SOURCES.glob("*.cpp")))
    with scratch(root, path.parent) as folder:
        output = Path(folder) / path.name
        link = _link_flags(compiler, Path(folder))
        _run((*compiler.command, *_FLAGS, *variant.flags, *sources, *link, "-o", str(output)))
        seal(output)
        with output.open("rb") as written:
            os.fsync(written.fileno())
        output.rename(path)


def _link_flags(compiler: Compiler, folder: Path) -> tuple[str, ...]:
    trial = ("-x", "c++", os.devnull, "-o", str(folder / "trial.so"))
    try:
        _run((*compiler.command, *_LINK, *_STATIC, *trial))
    except NativeUnavailable:
        return _LINK
    return (*_LINK, *_STATIC)


def _sweep(root: Path) -> None:
    try:
        sweep(root)
    except OSError as error:
        logger.warning("old libraries are left where they are: %s", error)


def _run(command: Sequence[str]) -> str:
    plain = os.environ | {"LC_ALL": "C"}  # its words are looked through
    try:
        done = subprocess.run(  # noqa: S603 - ours
            command, capture_output=True, text=True, errors="replace", env=plain, timeout=_TIMEOUT_SECONDS, check=True
        )
    except subprocess.CalledProcessError as error:
        lines = error.stderr.splitlines()
        said = next((line for line in lines if "error" in line), f"exit code {error.returncode}")
        raise NativeUnavailable(f"{command[0]} failed: {said}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NativeUnavailable(f"{command[0]} failed: {error}") from error
    return done.stdout


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(home) if home else Path.home() / ".cache") / "parley" / "native"
    except RuntimeError as error:  # a user without a home
        raise NativeUnavailable(f"no folder for the library: {error}") from error


def _read_sources() -> list[str]:
    paths = sorted(path for path in SOURCES.iterdir() if path.suffix in (".cpp", ".h"))  # and not an editor's files
    return [part for path in paths for part in (path.name, path.read_text())]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def main(arguments: Sequence[str]) -> None:
    """Build what this machine can run; with `packaged`, beside this file, all that its architecture has."""
    packaged = list(arguments) == ["packaged"]
    if arguments and not packaged:
        sys.exit("usage: python -m parley_worker.native.build [packaged]")
    try:
        build(variants() if packaged else supported(), PACKAGED if packaged else None)
    except NativeUnavailable as error:
        sys.exit(f"parley_worker.native: without its kernels the model runs on torch alone, more slowly: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
