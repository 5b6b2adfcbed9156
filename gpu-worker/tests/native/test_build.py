"""The library is compiled once, where it is missing, and for the processor that is there."""

from __future__ import annotations

import ctypes
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from parley_worker.native import build as build_module
from parley_worker.native.build import build, file_name, find_compiler, find_library
from parley_worker.native.errors import NativeUnavailable
from parley_worker.native.library import Library
from parley_worker.native.processor import AVX2, AVX512, AVX512_BF16, GENERIC, supported, variants
from parley_worker.native.seal import seal

CPU = torch.device("cpu")
OTHER = 'extern "C" int parley_answer() { return 2; }'


def test_it_is_compiled_once(small_library: Path, tmp_path: Path) -> None:
    path = find_library(GENERIC)
    assert path.is_relative_to(tmp_path / "cache" / "parley" / "native")
    made = path.stat().st_ino
    assert find_library(GENERIC) == path
    assert path.stat().st_ino == made
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_other_sources_are_another_library(small_library: Path) -> None:
    first = find_library(GENERIC)
    (small_library / "answer.cpp").write_text(OTHER)
    assert find_library(GENERIC) != first


def test_other_compilers_have_their_own(small_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = find_library(GENERIC)
    monkeypatch.setenv("CXX", " ".join((*find_compiler().command, "-g0")))
    second = find_library(GENERIC)
    assert (second.name, second.parent == first.parent) == (first.name, False)


def test_a_packaged_library_needs_no_compiler_while_it_is_of_these_sources(
    small_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = tmp_path / "lib" / file_name(GENERIC)
    build([GENERIC], packaged.parent)
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert find_library(GENERIC) == packaged
    (small_library / "answer.cpp").write_text(OTHER)
    with pytest.raises(NativeUnavailable, match=r"no C\+\+ compiler: no-such-compiler, which CXX names"):
        find_library(GENERIC)


def test_two_builds_at_once_make_the_same_library(small_library: Path) -> None:
    code = (
        "from pathlib import Path; from parley_worker.native import build as b; "
        f"b.SOURCES = Path({str(small_library)!r}); print(b.find_library(b.supported()[-1]))"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    paths = {run.communicate(timeout=50)[0].strip() for run in runs}
    assert len(paths) == 1
    assert Path(paths.pop()).exists()


def test_a_source_that_does_not_compile_is_one_line(small_library: Path) -> None:
    (small_library / "answer.cpp").write_text("int answer( {")
    with pytest.raises(NativeUnavailable, match=r"failed: .*answer\.cpp.*error") as caught:
        find_library(GENERIC)
    assert "\n" not in str(caught.value)


def test_a_compiler_that_cannot_be_read_is_one_line(small_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", 'g++ "')
    with pytest.raises(NativeUnavailable, match="CXX is 'g\\+\\+ \"': No closing quotation"):
        find_library(GENERIC)


def test_what_an_editor_leaves_beside_the_sources_is_none(small_library: Path) -> None:
    name = file_name(GENERIC)
    (small_library / ".answer.cpp.swp").write_bytes(b"\xff\xfe")
    assert file_name(GENERIC) == name


def test_a_folder_that_cannot_be_written_is_one_line(
    small_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(NativeUnavailable, match="the library cannot be written"):
        find_library(GENERIC)


def test_all_variants_of_an_architecture_compile(small_library: Path, tmp_path: Path) -> None:
    paths = build(variants(), tmp_path / "lib")
    assert [path.name for path in paths] == [file_name(variant) for variant in variants()]
    assert all(path.exists() for path in paths)


def test_the_best_that_the_processor_lists_is_chosen(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    for flags, expected in (
        (AVX512_BF16.needs, [AVX512_BF16, AVX512, AVX2, GENERIC]),
        (AVX512.needs | {"sse2"}, [AVX512, AVX2, GENERIC]),
        (AVX512.needs - {"avx512_vnni"}, [AVX2, GENERIC]),
        (AVX2.needs - {"fma"}, [GENERIC]),
        (AVX2.needs - {"abm"}, [GENERIC]),  # lzcnt, which older processors take for another instruction
    ):
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {' '.join(flags)}\n\nprocessor\t: 1\nflags\t\t: none\n")
        assert list(supported(cpuinfo)) == [variant for variant in expected if variant in variants()]
    assert supported(tmp_path / "none") == (GENERIC,)
    assert variants("aarch64") == (GENERIC,)


def test_a_library_without_a_function_that_is_called_is_unavailable(small_library: Path) -> None:
    with pytest.raises(NativeUnavailable, match=r"cannot be loaded: .*parley_"):
        Library(GENERIC)


def test_a_library_that_was_not_made_for_this_machine_is_unavailable(small_library: Path) -> None:
    path = find_library(GENERIC)
    path.write_text("not a library")
    seal(path)
    with pytest.raises(NativeUnavailable, match="cannot be loaded"):
        Library(GENERIC)


@pytest.mark.parametrize("folder", ["cache", "packaged"])
@pytest.mark.parametrize("damage", ["empty", "half", "zeros"])
def test_a_damaged_library_is_compiled_anew(
    small_library: Path, folder: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Loaded, it may end the process."""
    path = find_library(GENERIC) if folder == "cache" else build([GENERIC], build_module.PACKAGED)[0]
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes({"empty": b"", "half": whole[:half], "zeros": whole[:half] + bytes(len(whole) - half)}[damage])
    with caplog.at_level(logging.WARNING):
        found = find_library(GENERIC)
    assert f"{path} is damaged" in caplog.records[0].getMessage()
    assert ctypes.CDLL(str(found)).parley_answer() == 1


def test_a_packaged_library_that_cannot_be_read_is_compiled_elsewhere(
    small_library: Path, caplog: pytest.LogCaptureFixture
) -> None:
    packaged = build_module.PACKAGED / file_name(GENERIC)
    packaged.mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        assert find_library(GENERIC).is_file()
    assert f"{packaged} cannot be read" in caplog.records[0].getMessage()


def test_a_machine_without_a_compiler_is_told_in_one_line_what_it_does_without(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "parley_worker.native.build"]
    bare = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, env=bare, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "parley_worker.native: without its kernels the model runs on torch alone, more slowly: "
        "no C++ compiler: none of g++, c++, clang++ is installed\n"
    )


def write_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Set up a compiler of one's own."""
    path = tmp_path / "compiler"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("CXX", str(path))


def test_a_system_without_the_static_library_of_cpp_links_with_the_other(
    small_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = " ".join(find_compiler().command)
    write_compiler(tmp_path, monkeypatch, f'case "$*" in *-static-libstdc++*) exit 1;; esac; exec {real} "$@"')
    assert ctypes.CDLL(str(find_library(GENERIC))).parley_answer() == 1


def test_what_a_compiler_says_is_read_whatever_its_language(
    small_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_compiler(
        tmp_path, monkeypatch, r"""[ "$1" = --version ] || { printf "\377 $LC_ALL: error\n" >&2; exit 1; }"""
    )
    with pytest.raises(NativeUnavailable, match=r"failed: \ufffd C: error"):
        find_library(GENERIC)
