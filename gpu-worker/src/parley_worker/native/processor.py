"""Which libraries a processor can run."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
_X86 = ("x86_64", "amd64")


@dataclass(frozen=True, slots=True)
class Variant:
    """The sources compiled for one set of instructions: the compiler's flags, and what /proc/cpuinfo must list."""

    name: str
    flags: tuple[str, ...]
    needs: frozenset[str] = frozenset()


GENERIC = Variant("generic", ())
AVX2 = Variant("avx2", ("-march=x86-64-v3",), frozenset(("avx2", "fma", "f16c", "abm", "bmi1", "bmi2", "movbe")))
AVX512 = Variant(
    "avx512",
    ("-march=x86-64-v4", "-mavx512vnni"),
    AVX2.needs | {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd", "avx512_vnni"},
)
AVX512_BF16 = Variant("avx512bf16", (*AVX512.flags, "-mavx512bf16"), AVX512.needs | {"avx512_bf16"})


def variants(machine: str | None = None) -> tuple[Variant, ...]:
    """The libraries for processors of this architecture, the best first."""
    return (AVX512_BF16, AVX512, AVX2, GENERIC) if (machine or platform.machine()).lower() in _X86 else (GENERIC,)


def supported(cpuinfo: Path = CPUINFO) -> tuple[Variant, ...]:
    """Those that this processor runs, the best first. The generic one runs everywhere."""
    flags = frozenset(_read_flags(cpuinfo))
    return tuple(variant for variant in variants() if variant.needs <= flags)


def _read_flags(cpuinfo: Path) -> list[str]:
    if not cpuinfo.exists():
        return []
    lines = (line for line in cpuinfo.read_text().splitlines() if line.startswith("flags"))
    return next(lines, "").partition(":")[2].split()
