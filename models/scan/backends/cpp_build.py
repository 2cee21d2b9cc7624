"""Compiling scan.cpp for this machine, once: with the system's compiler, into the user's cache, at first use and never at install.

The library's name holds a digest of the source, the compiler, its options and the processor, so that none of them can change unnoticed, and
a cache shared by different machines serves each its own. It appears whole or not at all, whoever else compiles at the same time.
`$SUITE_MARCH` names another instruction set than this processor's own, as the compiler's -march does (x86-64-v3, say).

Threads are OpenMP's, of the very runtime that PyTorch has loaded: a second one would keep its own idle threads spinning against those.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from models.cache import folders_for_kernels, is_file, say_temporary

SOURCE = Path(__file__).with_name("scan.cpp")
COMPILERS = ("c++", "g++", "clang++")
COMPILE_SECONDS = 300
# Not -ffast-math: it would fold the rounding in `exp2` away.
OPTIONS = ("-std=c++17", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-fopenmp")


class CannotCompile(Exception):
    """Why there is no compiled library, and a command that would help."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


def library() -> Path:
    """Return the compiled library for this machine, from the cache or made now (some seconds); raises `CannotCompile`."""
    if sys.platform != "linux":
        raise CannotCompile(f"it is built on Linux, and this is {sys.platform}.", "use the backend 'numba'.")
    compiler = _compiler()
    flag = "-mcpu" if platform.machine() in ("aarch64", "arm64") else "-march"
    options = (*OPTIONS, f"{flag}={os.environ.get('SUITE_MARCH') or 'native'}")
    runtime = _openmp_runtime()
    name = f"scan-{_digest(compiler, options, runtime)}.so"
    problem: OSError | str = "there is none"
    for folder in folders_for_kernels("scan"):
        try:
            if not (is_file(folder / name) and os.access(folder / name, os.R_OK)):  # another user's may be closed
                folder.mkdir(parents=True, exist_ok=True)
                _compile(compiler, options, runtime, folder / name)
        except OSError as error:
            problem = error
            continue
        say_temporary(folder)
        return folder / name
    raise CannotCompile(f"the cache cannot be written ({problem}).", "export SUITE_CACHE=<a folder you may write to>")


def _compiler() -> str:
    """`$CXX`, or the first of COMPILERS that is installed."""
    asked = os.environ.get("CXX")
    for name in [asked] if asked else COMPILERS:
        found = shutil.which(name)
        if found:
            return found
    looked = f"$CXX = {asked!r}" if asked else ", ".join(COMPILERS)
    raise CannotCompile(f"no C++ compiler is installed (looked for {looked}).", "apt-get install g++, or set CXX to a C++17 compiler.")


def _openmp_runtime() -> str | None:
    """File of the OpenMP runtime in this process (torch's), None where there is none yet."""
    names = ("libgomp", "libomp", "libiomp")
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        path = line.rpartition(" ")[2]
        if path.rpartition("/")[2].startswith(names):
            return path
    return None


def _digest(compiler: str, options: tuple[str, ...], runtime: str | None) -> str:
    version = _run([compiler, "--version"]).stdout
    parts = (SOURCE.read_text(encoding="utf-8"), compiler, version, *options, _processor(), str(runtime))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _processor() -> str:
    """Return what -march=native looks at: the processor's name and what it can do."""
    wanted = ("model name", "flags", "Features", "CPU part")
    facts = {}
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in wanted:
            facts.setdefault(name.strip(), value.strip())
    return f"{platform.machine()} {sorted(facts.items())}"


def _compile(compiler: str, options: tuple[str, ...], runtime: str | None, path: Path) -> None:
    """Compiles into a private folder beside `path`, then moves the library there in one step."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as name:
        made, linked = Path(name) / "scan.o", Path(name) / "scan.so"
        _run_or_say([compiler, *options, "-c", str(SOURCE), "-o", str(made)])
        _run_or_say([compiler, "-shared", str(made), "-o", str(linked), *([runtime] if runtime else ["-fopenmp"])])
        linked.replace(path)


def _run_or_say(command: list[str]) -> None:
    done = _run(command)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["no message"]
        raise CannotCompile(
            f"{command[0]} could not compile {SOURCE.name} ({lines[0].strip()}).", "set CXX to a recent GCC or Clang, e.g. CXX=g++."
        )


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False)  # noqa: S603 - the user's compiler
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotCompile(f"{command[0]} does not run ({error}).", "set CXX to a working C++ compiler.") from error
