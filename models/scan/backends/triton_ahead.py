"""The Triton kernels compiled ahead of time, without a GPU: what each takes of one, and what is wrong with that.

Variants are the layers of `models.scan.cases` as an image's scans, and the plain scans that the same states make. Registers decide how many
programs share a multiprocessor; a *spill*, local memory, means that a thread's states do not fit its registers, and is always a problem.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from models.scan.backends import triton as backend
from models.scan.backends.triton_backward import scan_gradients
from models.scan.backends.triton_kernels import chunk_carry, chunk_ends, scan_outputs
from models.scan.cases import CASES

TARGETS = (80, 90, 100)  # A100, H100 and H200, B200
MOST_REGISTERS = {"chunk_ends": 128, "chunk_carry": 128, "scan_outputs": 128, "scan_gradients": 255}
FLOATS = ("dt_proj", "A", "D", "bias", "ends", "sums", "starts", "kept", "ddelta", "constants", "scratch")  # float32 whatever x is
INTEGERS = ("images", "height", "width", "channels", "span", "slots", "first_program")


class CannotCompileAhead(RuntimeError):
    """Triton interprets in this process, so its kernels are Python functions."""


@dataclass(frozen=True)
class Compiled:
    """A kernel's variant for a target, such as sm_90."""

    kernel: str
    variant: str
    target: str
    registers: int  # of a thread, which may have 255
    stack_bytes: int  # of local memory, a thread: spills
    shared_bytes: int
    instructions: int  # in the largest innermost loop: of a forward kernel, one step
    per_element: float  # of these, for one step of one state
    seconds: float  # to compile it


@dataclass(frozen=True)
class Variant:
    """What a kernel is compiled for."""

    name: str
    division: backend.Division
    dtype: str  # Triton's name of that of x

    def constants(self, kernel: triton.JITFunction) -> dict[str, int | bool]:
        """Those that the kernel takes, as a scan that is divided and followed by its gradient sets them."""
        carry = kernel is chunk_carry
        given = backend.carry_constants_of(self.division) if carry else backend.constants_of(self.division, softplus=True)
        given |= {"SPLIT": True, "KEEP": True, "SUB": backend.SUB, "ADJOINT": False}
        return {name: value for name, value in given.items() if name in kernel.arg_names}

    def types(self) -> dict[str, str]:
        """Return the type of every argument that is no constant."""
        streams, walks_of_images = f"*{self.dtype}", self.division.turns > 1
        types = dict.fromkeys(FLOATS, "*fp32") | dict.fromkeys(INTEGERS, "i32")
        return (
            types
            | dict.fromkeys(("x", "delta", "proj", "dy"), streams)
            | dict.fromkeys(("y", "dx"), "*fp32" if walks_of_images else streams)
        )


def variants() -> Iterator[Variant]:
    """Return what real layers need."""
    for name in ("light", "base", "vmambair-48"):
        case = CASES[name]
        for dtype in ("fp32", "bf16"):
            sizes = (case.batch, case.groups, case.side, case.side, case.width, case.states)
            yield Variant(f"{name}, image, {dtype}", backend.Division(True, *sizes, rank=case.rank), dtype)
    for name in ("base", "channel"):
        case = CASES[name]
        yield Variant(
            f"{name}, plain, fp32", backend.Division(False, case.batch, case.groups, 1, case.length, case.width, case.states, 0), "fp32"
        )


def compile_all(targets: Sequence[int] = TARGETS, only: Sequence[str] = ()) -> list[Compiled]:
    """Return a row for each variant of each kernel and target, or of the variants that are named; minutes, unless they are cached."""
    if backend.interpreted():
        raise CannotCompileAhead("Triton interprets the kernels in this process; unset TRITON_INTERPRET and start another.")
    chosen = [variant for variant in variants() if not only or variant.name in only]
    kernels = ((chunk_ends, False), (chunk_ends, True), (chunk_carry, False), (scan_outputs, False), (scan_gradients, False))
    return [_compiled(kernel, variant, target, adjoint) for target in targets for variant in chosen for kernel, adjoint in kernels]


def problems(rows: Sequence[Compiled]) -> list[str]:
    """Return what is wrong, in words: spills, and more registers than leave room for enough programs."""
    found = []
    for row in rows:
        which = f"{row.kernel} of {row.variant} for {row.target}"
        if row.stack_bytes:
            found.append(f"{which} spills {row.stack_bytes} bytes a thread")
        most = MOST_REGISTERS[row.kernel.partition(" ")[0]]
        if row.registers > most:
            found.append(f"{which} takes {row.registers} registers; {most} are the most it should")
    return found


def _compiled(kernel: triton.JITFunction, variant: Variant, target: int, adjoint: bool) -> Compiled:
    types, constants = variant.types(), variant.constants(kernel) | ({"ADJOINT": True} if adjoint else {})
    signature = {name: types.get(name, "constexpr") for name in kernel.arg_names}
    # As at run time: torch's tensors begin at multiples of 16 bytes, which kernels may be told not to rely on.
    aligned = {
        (i,): [["tt.divisibility", 16]]
        for i, parameter in enumerate(kernel.params)
        if signature[parameter.name].startswith("*") and not parameter.do_not_specialize_on_alignment
    }
    start = time.perf_counter()
    source = ASTSource(kernel, signature, constants, aligned)
    built = triton.compile(source, target=GPUTarget("cuda", target, 32), options={"num_warps": 1})
    seconds = time.perf_counter() - start
    usage, listing = _dump(built.asm["cubin"])
    by = variant.division
    steps = {"scan_gradients": backend.SUB, "chunk_carry": backend.AHEAD}.get(kernel.__name__, 1)
    elements = steps * (backend.LANES if kernel is chunk_carry else by.states * by.lanes)
    body = largest_inner_loop(listing)
    name = kernel.__name__ + (" of the adjoint" if adjoint else "")
    resources = (usage["REG"], usage["STACK"], usage["SHARED"])
    return Compiled(name, variant.name, f"sm_{target}", *resources, body, round(body * 32 / elements, 1), round(seconds, 2))


def _dump(cubin: bytes) -> tuple[Mapping[str, int], str]:
    """Return what a compiled kernel uses, and its instructions, as the tool that comes with Triton tells."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        usage, listing = (
            subprocess.run([tool, option, file], capture_output=True, text=True, check=True).stdout  # noqa: S603 - Triton's own
            for option in ("-res-usage", "-sass")
        )
    return {name: int(value) for name, value in re.findall(r"(REG|STACK|SHARED):(\d+)", usage)}, listing


def largest_inner_loop(listing: str) -> int:
    """Instructions of the largest loop that holds no other: from the target of a branch back to the branch."""
    places = [(int(at, 16), text) for at, text in re.findall(r"/\*([0-9a-f]{4,6})\*/\s+([^;]+);", listing)]
    loops = []
    for at, text in places:
        branch = re.search(r"\bBRA\b.*?(0x[0-9a-f]+)", text)
        if branch and int(branch[1], 16) < at:
            loops.append((int(branch[1], 16), at))
    inner = [(a, b) for a, b in loops if not any((c, d) != (a, b) and a <= c and d <= b for c, d in loops)]
    return max((sum(a <= at <= b for at, _ in places) for a, b in inner), default=0)
