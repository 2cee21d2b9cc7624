"""The Triton backend, for NVIDIA GPUs of compute capability 8.0 and later: how work is divided, and torch tensors in and out.

Kernels are in `triton_kernels` and `triton_backward`. They read a sequence as an image of one row whose channels are last, so u, delta, B
and C are transposed on the way in and results on the way out; an image is read as it is. Sums over programs are taken in a fixed order, so
results are the same bits in every run.

With TRITON_INTERPRET=1 in the environment when this module is first imported, Triton interprets the kernels, on a CPU, slowly.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from models.cache import can_write, folders_for_kernels, say_temporary
from models.scan.contract import ImageArguments, ScanArguments

try:
    import triton
except ImportError:  # not installed, or there is none for this platform
    triton = None
else:
    from models.scan.backends.triton_backward import scan_gradients
    from models.scan.backends.triton_kernels import chunk_carry, chunk_ends, scan_outputs

STEPS = 32  # of a piece, at most; a gradient computes its states again from the one before it, which is kept
SUB = 2  # steps of which a gradient holds the states in registers
ENOUGH = 2000  # programs, of one warp each, that keep a GPU busy: so many walks are not divided
PROGRAMS = 4096  # into about which fewer walks are
AHEAD = 16  # chunks whose loads wait together
SCRATCH = 2**25  # floats that a gradient may hold of states between the kept ones; it takes as many launches as that makes
LANES = 32  # channels of a program: those of a warp
FEWEST = 4  # where a walk has not as many
OLDEST = (8, 0)  # compute capability
LOG2E = 1.4426950408889634


def interpreted() -> bool:
    """Tell whether Triton interprets the kernels: TRITON_INTERPRET was set when they were defined."""
    return triton is not None and not isinstance(chunk_ends, triton.JITFunction)


def unavailable() -> tuple[str, str] | None:
    """None where the backend runs, else why not and what would help."""
    if triton is None:
        return "Triton cannot be imported.", "pip install triton (there are builds for Linux)."
    if interpreted():
        return None
    if not torch.cuda.is_available():
        return "PyTorch sees no CUDA device.", "use a machine with an NVIDIA GPU, or set TRITON_INTERPRET=1 to try it slowly on a CPU."
    capability = torch.cuda.get_device_capability()
    if capability < OLDEST:
        found, needed = (".".join(map(str, version)) for version in (capability, OLDEST))
        return f"the GPU has the compute capability {found}; the kernels need {needed}.", "use a GPU of the Ampere generation or later."
    place_kernels()
    return None


def place_kernels() -> None:
    """Name Triton a folder for compiled kernels where its own, in the user's home, cannot be written; it might make one called `~`."""
    if os.environ.keys() & {"TRITON_CACHE_DIR", "TRITON_HOME"}:
        return
    with contextlib.suppress(RuntimeError):  # this user has no home
        if can_write(Path.home() / ".triton"):
            return
    folder = next(filter(can_write, folders_for_kernels("triton")), None)
    if folder is not None:
        os.environ["TRITON_CACHE_DIR"] = str(folder)
        say_temporary(folder)


def tile_sizes(states: int) -> tuple[int, int]:
    """N1 and N2, powers of two or N2 = 0, whose sum is the least that holds the states: 16 of 16, 8 and 2 of 10, 64 and 0 of 60."""
    states = int(states)  # is symbolic while a graph is traced, and fixed by this
    whole = 1 << (states - 1).bit_length()
    rest = states - whole // 2
    small = 1 << (rest - 1).bit_length() if rest > 0 else 0
    return (whole, 0) if whole // 2 + small >= whole else (whole // 2, small)


def lanes_of(channels: int) -> int:
    """Channels of a program; where a walk has fewer than a warp has lanes, a channel's states lie in several of them."""
    return LANES if channels > LANES // 2 else max(FEWEST, 1 << (int(channels) - 1).bit_length())


@dataclass(frozen=True)
class Division:
    """Sizes of a scan, and how it is divided among programs. K walks an image: directions of an image, groups of plain sequences."""

    image: bool
    batch: int
    directions: int
    height: int
    width: int
    channels: int  # of one walk
    states: int
    rank: int  # of delta; 0 where it is given
    span: int = 0  # pieces of a chunk; 0 for what suits

    @property
    def lanes(self) -> int:
        """Channels of a program."""
        return lanes_of(self.channels)

    @property
    def blocks(self) -> int:
        """Programs that share the channels."""
        return -(-self.channels // self.lanes)

    @property
    def rows(self) -> int:
        """Return the rows of a tile, or of two."""
        return sum(tile_sizes(self.states))

    @property
    def turns(self) -> int:
        """Walks of a program: 2 where the other goes back the same way."""
        return 2 if self.image and self.directions > 1 else 1

    @property
    def ways(self) -> int:
        """Walks but for those back; of an image each has a y of its own."""
        return self.directions // self.turns

    def pieces(self) -> tuple[int, int]:
        """Return the pieces of a walk by rows, and by columns."""
        return self.height * -(-self.width // STEPS), self.width * -(-self.height // STEPS)

    def kept(self) -> tuple[int, ...]:
        """Return the shape of the states before every piece: (B, pieces of all walks, blocks, rows of tiles, lanes)."""
        rows, columns = self.pieces()
        pieces = 2 * (rows + columns) if self.image and self.directions == 4 else self.directions * rows
        return self.batch, pieces, self.blocks, self.rows, self.lanes

    def divided(self) -> tuple[int, int]:
        """Pieces of a chunk, and chunks of a walk."""
        rows, columns = self.pieces()
        pieces = max(rows, columns) if self.image and self.directions == 4 else rows
        programs = self.batch * self.ways * self.blocks
        span = self.span or (pieces if programs >= ENOUGH else max(1, programs * pieces // PROGRAMS))
        return span, -(-pieces // span)


def division_of(args: ScanArguments | ImageArguments) -> Division:
    """Return how the scans of these arguments are divided."""
    if isinstance(args, ImageArguments):
        (batch, height, width, channels), (directions, _, rank) = args.x.shape, args.dt_proj.shape
        return Division(True, batch, directions, height, width, channels, args.A.shape[1], rank)
    (batch, channels, length), groups = args.u.shape, args.B.shape[1]
    return Division(False, batch, groups, 1, length, channels // groups, args.A.shape[1], 0)


@dataclass(frozen=True)
class Operands:
    """The tensors as the kernels read them, channels last: x (B, H, W, C), or (B, 1, L, D) of a plain scan, as which delta and dy are."""

    x: Tensor
    delta: Tensor  # x, unread, where proj holds its low-rank factor
    proj: Tensor  # (B, H, W, K, R + 2N)
    dt_proj: Tensor  # (K, R, C)
    A: Tensor  # log2(e) A, (K, blocks, rows, lanes); 0 where there are no channels or states
    D: Tensor
    bias: Tensor
    softplus: bool

    def tensors(self) -> dict[str, Tensor]:
        """Return what all kernels are called with."""
        return {"delta": self.delta, "proj": self.proj, "dt_proj": self.dt_proj, "A": self.A, "bias": self.bias}


def _tiled(A: Tensor, by: Division) -> Tensor:
    padded = F.pad(A.view(by.directions, by.channels, by.states) * LOG2E, (0, by.rows - by.states, 0, by.blocks * by.lanes - by.channels))
    return padded.view(by.directions, by.blocks, by.lanes, by.rows).transpose(2, 3).contiguous()


def _last(x: Tensor) -> Tensor:
    """(B, D, L) with channels last, and back."""
    return x.transpose(1, 2).contiguous()


def _operands(args: ScanArguments, softplus: bool, by: Division) -> Operands:
    none = args.A.new_zeros(args.u.shape[1])
    proj = torch.cat([args.B, args.C], dim=2).permute(0, 3, 1, 2).contiguous()
    D, bias = (none if vector is None else vector for vector in (args.D, args.delta_bias))
    return Operands(_last(args.u), _last(args.delta), proj, none, _tiled(args.A, by), D, bias, softplus)


def _image_operands(args: ImageArguments, by: Division) -> Operands:
    dt_proj = args.dt_proj.transpose(1, 2).contiguous()
    return Operands(args.x, args.x, args.proj, dt_proj, _tiled(args.A, by), args.D, args.delta_bias, True)


def constants_of(by: Division, softplus: bool) -> dict[str, int | bool]:
    """Return what the kernels of walks are compiled for."""
    n1, n2 = tile_sizes(by.states)
    sizes = {"RANK": by.rank, "STATES": by.states, "N1": n1, "N2": n2, "LANES": by.lanes, "STEPS": STEPS}
    return {"DIRECTIONS": by.directions, "IMAGE": by.image, **sizes, "SOFTPLUS": softplus}


def carry_constants_of(by: Division) -> dict[str, int | bool]:
    """Return what `chunk_carry` is compiled for."""
    tiles = {"ROWS": by.rows, "WIDTH": by.lanes, "LANES": LANES, "STEPS": STEPS, "AHEAD": AHEAD}
    return {"DIRECTIONS": by.directions, "IMAGE": by.image, **tiles}


def _sizes(by: Division) -> dict[str, int]:
    span, slots = by.divided()
    return {"height": by.height, "width": by.width, "channels": by.channels, "span": span, "slots": slots}


def _on(device: torch.device) -> contextlib.AbstractContextManager[object]:
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def _starts(x: Tensor, given: Operands, by: Division, *, adjoint: bool) -> Tensor:
    """Return the state, or the gradient of it, that each chunk of each walk starts from: (B, K, chunks, blocks, rows, lanes)."""
    sizes, walks = _sizes(by), by.batch * by.directions
    ends = given.A.new_empty(by.batch, by.directions, sizes["slots"], by.blocks, by.rows, by.lanes)
    if sizes["slots"] == 1:
        return ends  # unread: both are 0
    sums = given.A.new_empty(*ends.shape[:4], by.lanes)
    chunk_ends[(walks * sizes["slots"] * by.blocks,)](
        x=x, **given.tensors(), ends=ends, sums=sums, **sizes, **constants_of(by, given.softplus), ADJOINT=adjoint, num_warps=1
    )
    groups = -(-by.blocks * by.rows * by.lanes // LANES)
    chunk_carry[(walks * groups,)](ends=ends, sums=sums, A=given.A, **sizes, **carry_constants_of(by), ADJOINT=adjoint, num_warps=1)
    return ends


def _forward(given: Operands, by: Division, keep: bool) -> tuple[Tensor, Tensor]:
    """Y, of x's shape and dtype, and h before every piece."""
    sizes = _sizes(by)
    kept = given.A.new_empty(by.kept() if keep else (0,))
    parts = by.image and by.directions > 1  # then each way has its own y, to which the walk back adds: not rounded in between
    y = given.x.new_empty(by.ways if by.image else 1, *given.x.shape, dtype=torch.float32 if parts else given.x.dtype)
    with _on(given.x.device):
        starts = _starts(given.x, given, by, adjoint=False)
        scan_outputs[(by.batch * by.ways * sizes["slots"] * by.blocks,)](
            x=given.x, **given.tensors(), D=given.D, starts=starts, y=y, kept=kept, images=by.batch, **sizes,
            **constants_of(by, given.softplus), SPLIT=sizes["slots"] > 1, KEEP=keep, num_warps=1,
        )  # fmt: skip
    return _total(y).to(given.x.dtype), kept


def _total(parts: Tensor) -> Tensor:
    """Return the sum over the first axis, in one order."""
    return parts[0] if len(parts) == 1 else parts[0] + parts[1] if len(parts) == 2 else parts.sum(0)


def _owned(part: Tensor) -> Tensor:
    """Return a contiguous copy: what an operator returns may not share memory."""
    return part.clone(memory_format=torch.contiguous_format)


@dataclass(frozen=True)
class Gradients:
    """What the gradient's kernel gives: channels last, float32 but for dx."""

    x: Tensor  # of x's shape
    delta: Tensor  # (B, H, W, K, C), before softplus
    BC: Tensor  # (B, H, W, K, 2N)
    A: Tensor  # (K*C, N)
    D: Tensor  # (K*C,)
    bias: Tensor


def _backward(dy: Tensor, kept: Tensor, given: Operands, by: Division) -> Gradients:
    sizes = _sizes(by)
    new = given.A.new_empty
    place = (by.batch, by.height, by.width, by.directions)
    parts = by.image and by.directions > 1
    dx = given.x.new_empty(by.ways if by.image else 1, *given.x.shape, dtype=torch.float32 if parts else given.x.dtype)
    ddelta, BC = new(*place, by.channels), new(by.blocks, *place, 2 * by.states)
    constants = new(by.batch, by.directions, sizes["slots"], by.blocks, by.rows + 2, by.lanes)
    programs = by.batch * by.ways * sizes["slots"] * by.blocks
    each = -(-STEPS // SUB) * by.rows * by.lanes
    at_once = min(programs, max(1, SCRATCH // each))
    scratch = new(at_once, each)
    with _on(given.x.device):
        starts = _starts(dy, given, by, adjoint=True)
        for first in range(0, programs, at_once):
            scan_gradients[(min(at_once, programs - first),)](
                dy=dy, x=given.x, **given.tensors(), D=given.D, kept=kept, starts=starts, dx=dx, ddelta=ddelta, sums=BC,
                constants=constants, scratch=scratch, images=by.batch, **sizes, first_program=first,
                **constants_of(by, given.softplus), SPLIT=sizes["slots"] > 1, SUB=SUB, num_warps=1,
            )  # fmt: skip
    rows = constants.sum((0, 2)).transpose(2, 3).flatten(1, 2)[:, : by.channels].flatten(0, 1)  # (K*C, rows + 2)
    dA, dD, dbias = rows[:, : by.states], rows[:, by.rows], rows[:, by.rows + 1]
    return Gradients(_total(dx).to(given.x.dtype), ddelta, _total(BC), *map(_owned, (dA, dD, dbias)))


def kept_shape(args: ScanArguments) -> tuple[int, ...]:
    """Return the shape of the states before every piece of STEPS steps: (B, pieces, blocks, rows, lanes)."""
    return division_of(args).kept()


def forward(args: ScanArguments, delta_softplus: bool, keep: bool) -> tuple[Tensor, Tensor]:
    """Return the y (B, D, L) of the scan, and h before every piece."""
    by = division_of(args)
    y, kept = _forward(_operands(args, delta_softplus, by), by, keep)
    return _last(y), kept


def backward(grad_y: Tensor, kept: Tensor, args: ScanArguments, delta_softplus: bool) -> tuple[Tensor | None, ...]:
    """Gradients of u, delta, A, B, C, D and delta_bias, given that of y (B, D, L)."""
    by = division_of(args)
    found = _backward(_last(grad_y), kept, _operands(args, delta_softplus, by), by)
    dB, dC = found.BC.squeeze(1).permute(0, 2, 3, 1).to(args.B.dtype).split(by.states, dim=2)
    ddelta = _last(found.delta.view(by.batch, by.width, -1)).to(args.delta.dtype)
    dD, dbias = None if args.D is None else found.D, None if args.delta_bias is None else found.bias
    return _last(found.x), ddelta, found.A, _owned(dB), _owned(dC), dD, dbias


def image_kept_shape(args: ImageArguments) -> tuple[int, ...]:
    """Return the shape of the states before every piece of a line, at most STEPS pixels: (B, pieces of all walks, blocks, rows, lanes)."""
    return division_of(args).kept()


def image_forward(args: ImageArguments, keep: bool) -> tuple[Tensor, Tensor]:
    """Return the y (B, H, W, C), the sum over directions, and h before every piece."""
    by = division_of(args)
    return _forward(_image_operands(args, by), by, keep)


def image_backward(grad_y: Tensor, kept: Tensor, args: ImageArguments) -> tuple[Tensor, ...]:
    """Gradients of x, proj, dt_proj, A, D and delta_bias, given that of y (B, H, W, C)."""
    by = division_of(args)
    found = _backward(grad_y, kept, _image_operands(args, by), by)
    low_rank = args.proj[..., : by.rank].float()
    dproj = torch.cat([torch.einsum("bhwkc,kcr->bhwkr", found.delta, args.dt_proj), found.BC], dim=-1).to(args.proj.dtype)
    ddt_proj = torch.einsum("bhwkc,bhwkr->kcr", found.delta, low_rank).contiguous()
    return found.x, dproj, ddt_proj, found.A, found.D, found.bias
