"""The folders of compiled libraries: what lies in them stays until nobody has used it for a month.

A library was used when its file was last touched. Touching one and removing one exclude each other across processes, so
that what a process has found is there when it loads it.
"""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

LIFETIME_SECONDS = 30 * 24 * 3600.0
_SCRATCH = ".build-"


def claim(root: Path, library: Path) -> bool:
    """Whether the library is there, somewhere below `root`; from now on nobody removes it for a month."""
    with _lock(root, fcntl.LOCK_SH):
        try:
            os.utime(library)
        except FileNotFoundError:
            return False
        except OSError:  # another user's, or on a disk that is only read
            return library.exists()
        return True


def scratch(root: Path, folder: Path) -> TemporaryDirectory[str]:
    """A new folder in `folder`, which is `root` or lies in it, to compile in."""
    with _lock(root, fcntl.LOCK_SH):
        folder.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(dir=folder, prefix=_SCRATCH)


def sweep(root: Path) -> None:
    """Remove what nobody has used for a month from the folders in `root`, and those that are empty then."""
    oldest = time.time() - LIFETIME_SECONDS
    with _lock(root, fcntl.LOCK_EX):
        for folder in filter(Path.is_dir, root.iterdir()):
            for library in folder.glob("*.so"):
                if _touched(library) < oldest:
                    library.unlink()
            for left in folder.glob(f"{_SCRATCH}*"):  # of a compiler that was killed
                if _touched(left) < oldest:
                    shutil.rmtree(left)
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def _touched(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # whoever compiled in there is through
        return math.inf


@contextmanager
def _lock(root: Path, kind: int) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(handle, kind)
        yield
    finally:
        os.close(handle)
