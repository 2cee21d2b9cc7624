"""Compiled kernels of the Numba backend: the selective scan and its gradient, vectorised over channels.

Source: Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces" (2023), equation 2a, discretised as in their code.
For one channel with input u, step delta and a state h of N values:

    h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t          y_t = C_t . h_t + D u_t

Layout. A *row* is one channel of one image: u, delta, y are (R, L), R = batch * channels. A *sequence* is the B and C that the rows of one
group share: N rows of (S N, L), S = batch * groups. A *block* is up to LANES rows of a sequence, one to a SIMD lane; lanes left over hold
zeros. A *task* is some blocks of a sequence. It proceeds in steps of TILE, for each the blocks in turn: B and C are read once for all of
them; u, delta, y are transposed to *tiles* (TILE, LANES), where one vector load reads a step of every lane, while B_t, C_t are numbers. The
loop over states stands outside that over a tile's steps: h is a register, a tile stays in the first-level cache, N is a run-time value.

The forward pass keeps h at the start of every tile. The gradient visits the tiles from last to first, recomputes their states and runs the
adjoint recurrence over them. A name such as `dB` is the gradient of the loss with respect to B.

Numba's cache notices changes of this file only; of numba_simd.py it is told by `entry_points`. So everything else compiled is in here.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit, prange

from models.scan.backends import numba_simd
from models.scan.backends.numba_cache import keeping
from models.scan.backends.numba_simd import (
    LANES,
    Lanes,
    add_to_exponent,
    add_totals,
    at,
    clamp,
    fma,
    prefetch,
    put,
    spread,
    transpose_in,
    transpose_out,
    where_negative,
    within,
)

TILE = 64  # steps between kept states: the tiles of a block fit the first-level cache

# Called from kernels only: without entry points for Python and C, which would double the time to compile.
device = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")
inlined = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", forceinline=True)

LOG2E = float(np.log2(np.e))
LOG2E_REST = LOG2E - float(np.float32(LOG2E))
ROUNDER = 1.5 * 2.0**23  # x + ROUNDER rounds x to an integer and holds that integer in its low bits


@inlined
def power_of_two(f: Lanes, k: Lanes) -> Lanes:
    """2^(f + k) for f in [-1/2, 1/2] and an integer k + ROUNDER, by a polynomial fitted to a relative error of 2e-9; exactly 1 at f = 0,
    where an error would be made again at every step of a slow decay.
    """
    p = fma(fma(fma(0.000153526169, f, 0.00133985758), f, 0.00961843878), f, 0.0555033349)
    return add_to_exponent(fma(fma(fma(p, f, 0.240226477), f, 0.693147182), f, 1.0), k)


@inlined
def exp2(x: Lanes, y: Lanes, bounded: bool) -> Lanes:
    """2^(x y); 0 up to x y = -127, infinite from 128. `bounded` says that |x y| <= 126."""
    if bounded:
        k = fma(x, y, ROUNDER)
        return power_of_two(fma(x, y, ROUNDER - k), k)
    x = clamp(x * y, -127.0, 128.0)
    k = x + ROUNDER
    return power_of_two(x - (k - ROUNDER), k)


@inlined
def exp_minus_abs(x: Lanes) -> Lanes:
    """exp(-|x|), at least 1.6e-38; log2(e) in two parts, so that a large |x| costs no digits."""
    x = clamp(x, -87.0, 0.0 - x)
    k = fma(x, LOG2E, ROUNDER)
    return power_of_two(fma(x, LOG2E_REST, fma(x, LOG2E, ROUNDER - k)), k)


@inlined
def softplus(x: Lanes, z: Lanes) -> Lanes:
    """log(1 + exp(x)) = max(x, 0) + log1p(z), given z = exp(-|x|), so that a small result keeps its digits; log1p(z) = z + z^2 q(z) by a
    polynomial fitted to a relative error of 3e-8, evaluated in pairs, since chains of dependent instructions are what takes time here.
    """
    g = z * z
    low = fma(fma(0.191536531, z, -0.248571634), g, fma(0.33321324, z, -0.499996483))
    high = fma(fma(0.00536481664, z, -0.0300657637), g, fma(0.0792044923, z, -0.137537986))
    return clamp(x, 0.0, np.inf) + fma(fma(high, g * g, low), g, z)


@inlined
def sigmoid(x: Lanes) -> Lanes:
    """1 / (1 + exp(-x)), the derivative of softplus."""
    z = exp_minus_abs(x)
    return where_negative(x, z, 1.0) / (z + 1.0)


@inlined
def larger(x: Lanes, y: Lanes) -> Lanes:
    """Return the larger of x >= 0 and |y|; may miss a NaN."""
    return clamp(x, clamp(y, 0.0 - y, np.inf), np.inf)


class Operands(NamedTuple):
    """u, delta (R, L); constants (channels, N + 2), the columns A, D and delta_bias; B, C (S N, L); whether delta passes softplus.

    R = batch * channels rows, S = batch * groups sequences; float32, contiguous.
    """

    u: np.ndarray
    delta: np.ndarray
    constants: np.ndarray
    B: np.ndarray
    C: np.ndarray
    delta_softplus: bool


class Gradients(NamedTuple):
    """Of u, delta (R, L); of the constants for every row (R, N + 2); of B, C in parts (P S N, L).

    What is held per row is to be summed over images, what is in parts over parts.
    """

    u: np.ndarray
    delta: np.ndarray
    constants: np.ndarray
    B: np.ndarray
    C: np.ndarray


# Where the (TILE, LANES) tiles of a block begin, and end.
U, RAW, DELTA, DELTA_U, Y, FORWARD_TILES = range(0, 6 * TILE, TILE)
DY, DDELTA, DDELTA_U, DECAY, CARRIED, TERM, BACKWARD_TILES = range(4 * TILE, 11 * TILE, TILE)


@inlined
def scan_tile(tiles: np.ndarray, h: Lanes, A_log2e: Lanes, streams: np.ndarray, n: int, steps: int, bounded: bool) -> Lanes:
    """State n through a tile, y_t += C_t h_t; returns h after the last step."""
    C = streams.shape[0] // 2 + n
    for t in range(steps):
        decay = exp2(at(tiles, DELTA + t), A_log2e, bounded)
        h = fma(decay, h, spread(streams, n, t) * at(tiles, DELTA_U + t))
        put(tiles, Y + t, fma(spread(streams, C, t), h, at(tiles, Y + t)))
    return h


@inlined
def recompute_tile(tiles: np.ndarray, h: Lanes, A_log2e: Lanes, streams: np.ndarray, n: int, steps: int, bounded: bool) -> None:
    """State n through a tile again; leaves exp(delta_t A) as DECAY, that times h_{t-1} as CARRIED, and what dC_t sums over rows as TERM."""
    for t in range(steps):
        decay = exp2(at(tiles, DELTA + t), A_log2e, bounded)
        carried = decay * h
        h = fma(spread(streams, n, t), at(tiles, DELTA_U + t), carried)
        put(tiles, DECAY + t, decay)
        put(tiles, CARRIED + t, carried)
        put(tiles, TERM + t, at(tiles, DY + t) * h)


@inlined
def adjoint_tile(tiles: np.ndarray, dh: Lanes, A: Lanes, streams: np.ndarray, n: int, steps: int) -> tuple[Lanes, Lanes]:
    """State n back through a tile: dh_t = C_t dy_t + exp(delta_{t+1} A) dh_{t+1}, where `dh` is that last term for the last step.

    Leaves what dB_t sums over rows as TERM; adds to DDELTA what reaches delta through the decay, and to DDELTA_U what reaches delta u.
    Returns `dh` for the tile before, and this tile's part of dA.
    """
    C = streams.shape[0] // 4 + n
    dA, decay = dh * 0.0, dh * 0.0 + 1.0
    for t in range(steps - 1, -1, -1):
        dh = fma(decay, dh, spread(streams, C, t) * at(tiles, DY + t))  # one fused operation from step to step
        dexponent = dh * at(tiles, CARRIED + t)
        dA = fma(dexponent, at(tiles, DELTA + t), dA)
        put(tiles, DDELTA + t, fma(dexponent, A, at(tiles, DDELTA + t)))
        put(tiles, DDELTA_U + t, fma(dh, spread(streams, n, t), at(tiles, DDELTA_U + t)))
        put(tiles, TERM + t, dh * at(tiles, DELTA_U + t))
        decay = at(tiles, DECAY + t)
    return dh * decay, dA


@device
def gather(tile: np.ndarray, matrix: np.ndarray, row: int, count: int, column: int, steps: int) -> None:
    """Transpose columns `column` ... of `count` rows of a matrix into the first steps and lanes of a tile; lanes left over become 0."""
    done = 0
    if count == LANES:
        done = steps // LANES * LANES
        for t in range(0, done, LANES):
            transpose_in(tile, t, matrix, row, column + t)
    elif count < LANES:
        tile[:steps] = 0.0
    for lane in range(count):
        for t in range(done, steps):
            tile[t, lane] = matrix[row + lane, column + t]


@device
def scatter(matrix: np.ndarray, row: int, count: int, column: int, tile: np.ndarray, steps: int) -> None:
    """Return the inverse of `gather`."""
    done = 0
    if count == LANES:
        done = steps // LANES * LANES
        for t in range(0, done, LANES):
            transpose_out(matrix, row, column + t, tile, t)
    for lane in range(count):
        for t in range(done, steps):
            matrix[row + lane, column + t] = tile[t, lane]


@device
def ask(matrix: np.ndarray, row: int, count: int, column: int) -> None:
    """Have a tile of a matrix brought to the cache meanwhile; rows that are a power of two apart defeat the processor's own prefetching."""
    if 0 <= column < matrix.shape[1]:
        for lane in range(count):
            for t in range(0, TILE, 16):
                prefetch(matrix, row + lane, column + t)


@device
def load_inputs(tiles: np.ndarray, scan: Operands, constants: np.ndarray, rows: tuple[int, int], start: int, steps: int) -> bool:
    """Fill U, RAW = delta + delta_bias, DELTA and DELTA_U; returns whether exponents delta A log2(e) stay within 126."""
    gather(tiles[U:], scan.u, rows[0], rows[1], start, steps)
    gather(tiles[RAW:], scan.delta, rows[0], rows[1], start, steps)
    N = constants.shape[0] - 2
    bias = at(constants, N + 1)
    if scan.delta_softplus:  # in a loop of its own: shorter chains of instructions overlap better
        for t in range(steps):
            put(tiles, DELTA + t, exp_minus_abs(at(tiles, RAW + t) + bias))
    peak = bias * 0.0
    for t in range(steps):
        raw = at(tiles, RAW + t) + bias
        delta = softplus(raw, at(tiles, DELTA + t)) if scan.delta_softplus else raw
        put(tiles, RAW + t, raw)
        put(tiles, DELTA + t, delta)
        put(tiles, DELTA_U + t, delta * at(tiles, U + t))
        peak = larger(peak, delta)
    largest = bias * 0.0
    for n in range(N):
        largest = larger(largest, at(constants, n))
    return within(peak * largest, 126.0 / LOG2E)


@device
def open_task(scan: Operands, task: int, parts: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the sequence of a task, its blocks' (first row, rows), and the constants (blocks, N + 2, LANES): A, D and delta_bias."""
    channels, N = scan.constants.shape[0], scan.constants.shape[1] - 2
    sequence, part, size = task // parts, task % parts, scan.u.shape[0] // (scan.B.shape[0] // N)
    blocks = (size + LANES - 1) // LANES
    first, last = blocks * part // parts, blocks * (part + 1) // parts
    rows, constants = np.empty((last - first, 2), np.intp), np.zeros((last - first, N + 2, LANES), np.float32)
    for i in range(last - first):
        row = sequence * size + (first + i) * LANES
        rows[i, 0], rows[i, 1] = row, min(LANES, (sequence + 1) * size - row)
        for lane in range(rows[i, 1]):
            of_channel = scan.constants[(row + lane) % channels]
            for n in range(N):
                constants[i, n, lane] = of_channel[n]
            constants[i, N, lane], constants[i, N + 1, lane] = of_channel[N], of_channel[N + 1]
    return sequence, rows, constants


@inlined
def following(rows: np.ndarray, i: int, start: int, step: int) -> tuple[int, int, int]:
    """Return the first row, rows and start of the block and tile that come after block i of the tile at `start`."""
    after = (i + 1) % rows.shape[0]
    return rows[after, 0], rows[after, 1], start if after else start + step


@device
def copy(target: np.ndarray, row: int, column: int, source: np.ndarray, source_row: int, source_column: int, steps: int) -> None:
    """Copy steps of a row of one matrix to a row of another; as an assignment of slices it would take much longer to compile."""
    to, of = target[row, column : column + steps], source[source_row, source_column : source_column + steps]
    for t in range(steps):
        to[t] = of[t]


@device
def copy_tile(streams: np.ndarray, scan: Operands, sequence: int, start: int, steps: int) -> None:
    """Fill the first rows of streams (2 N or more, TILE) with B and C: where L is a power of two theirs compete for one cache set."""
    N = scan.constants.shape[1] - 2
    for n in range(N):
        copy(streams, n, 0, scan.B, sequence * N + n, start, steps)
        copy(streams, N + n, 0, scan.C, sequence * N + n, start, steps)


@device
def forward_task(scan: Operands, y: np.ndarray, kept: np.ndarray, task: int, parts: int) -> None:
    """Fill y, and kept where it is not empty, of a task's blocks."""
    L, N = scan.u.shape[1], scan.constants.shape[1] - 2
    sequence, rows, constants = open_task(scan, task, parts)
    blocks = constants.shape[0]
    h, tiles = np.zeros((blocks, N, LANES), np.float32), np.zeros((FORWARD_TILES, LANES), np.float32)
    streams = np.zeros((2 * N, TILE), np.float32)
    for start in range(0, L, TILE):
        steps = min(TILE, L - start)
        copy_tile(streams, scan, sequence, start, steps)
        ask(scan.B, sequence * N, N, start + TILE)
        ask(scan.C, sequence * N, N, start + TILE)
        for i in range(blocks):
            row, count, A, h_i = rows[i, 0], rows[i, 1], constants[i], h[i]
            if kept.size > 0:
                scatter(kept, row, count, start // TILE * N, h_i, N)
            bounded = load_inputs(tiles, scan, A, (row, count), start, steps)
            next_row, next_count, next_start = following(rows, i, start, TILE)
            ask(scan.u, next_row, next_count, next_start)
            ask(scan.delta, next_row, next_count, next_start)
            ask(y, next_row, next_count, next_start)
            tiles[Y : Y + TILE] = 0.0
            for n in range(N):
                if bounded:
                    put(h_i, n, scan_tile(tiles, at(h_i, n), at(A, n) * LOG2E, streams, n, steps, True))
                else:
                    put(h_i, n, scan_tile(tiles, at(h_i, n), at(A, n) * LOG2E, streams, n, steps, False))
            for t in range(steps):  # last, so that a large D u does not round the sum over states
                put(tiles, Y + t, fma(at(A, N), at(tiles, U + t), at(tiles, Y + t)))
            scatter(y, row, count, start, tiles[Y:], steps)


@device
def close_tile(tiles: np.ndarray, D: Lanes, delta_softplus: bool, steps: int) -> None:
    """Complete DDELTA, turn DDELTA_U into du, and put what every step adds to dD into TERM."""
    for t in range(steps):
        u, dy, ddelta_u = at(tiles, U + t), at(tiles, DY + t), at(tiles, DDELTA_U + t)
        ddelta = fma(ddelta_u, u, at(tiles, DDELTA + t))
        if delta_softplus:
            ddelta = ddelta * sigmoid(at(tiles, RAW + t))
        put(tiles, DDELTA + t, ddelta)
        put(tiles, DDELTA_U + t, fma(ddelta_u, at(tiles, DELTA + t), D * dy))
        put(tiles, TERM + t, dy * u)


@device
def pairwise_sum(tile: np.ndarray, steps: int) -> Lanes:
    """Return the sum of the first rows of a tile, which it destroys; rounding errors grow with the logarithm of `steps`."""
    gap = 1
    while gap < steps:
        for t in range(0, steps - gap, 2 * gap):
            put(tile, t, at(tile, t) + at(tile, t + gap))
        gap *= 2
    return at(tile, 0)


@inlined
def accumulate(totals: np.ndarray, row: int, x: Lanes) -> None:
    """Add x to a row of totals[0], and to that of totals[1] what rounding added too much (Kahan's sum)."""
    total, x = at(totals[0], row), x - at(totals[1], row)
    new = total + x
    put(totals[1], row, (new - total) - x)
    put(totals[0], row, new)


@device
def backward_tile(
    tiles: np.ndarray, streams: np.ndarray, h: np.ndarray, dh: np.ndarray, A: np.ndarray, totals: np.ndarray, steps: int, bounded: bool
) -> None:
    """All states of a block back through a tile, given h at its start and `dh` at its end.

    Adds to dB and dC in streams, and to dA in totals.
    """
    N = dh.shape[0]
    for n in range(N):
        if bounded:
            recompute_tile(tiles, at(h, n), at(A, n) * LOG2E, streams, n, steps, True)
        else:
            recompute_tile(tiles, at(h, n), at(A, n) * LOG2E, streams, n, steps, False)
        for t in range(0, steps, LANES):
            add_totals(streams, 3 * N + n, t, tiles, TERM + t)
        dh_n, dA = adjoint_tile(tiles, at(dh, n), at(A, n), streams, n, steps)
        put(dh, n, dh_n)
        accumulate(totals, n, dA)
        for t in range(0, steps, LANES):
            add_totals(streams, 2 * N + n, t, tiles, TERM + t)


@device
def close_task(grad: Gradients, rows: np.ndarray, totals: np.ndarray) -> None:
    """Write the gradients of the constants: totals (blocks, 2, N + 2, LANES), for every row."""
    N = grad.constants.shape[1] - 2
    for i in range(rows.shape[0]):
        for lane in range(rows[i, 1]):
            of_row = grad.constants[rows[i, 0] + lane]
            for n in range(N):
                of_row[n] = totals[i, 0, n, lane]
            of_row[N], of_row[N + 1] = totals[i, 0, N, lane], totals[i, 0, N + 1, lane]


@device
def backward_task(scan: Operands, dy: np.ndarray, kept: np.ndarray, grad: Gradients, task: int, parts: int) -> None:
    """Gradients of a task's blocks; those of B and C are a part."""
    L, N = scan.u.shape[1], scan.constants.shape[1] - 2
    sequence, rows, constants = open_task(scan, task, parts)
    blocks, of_part = constants.shape[0], task % parts * scan.B.shape[0] + sequence * N
    dh, totals = np.zeros((blocks, N, LANES), np.float32), np.zeros((blocks, 2, N + 2, LANES), np.float32)
    h, tiles = np.zeros((N, LANES), np.float32), np.zeros((BACKWARD_TILES, LANES), np.float32)
    streams = np.zeros((4 * N, TILE), np.float32)  # B, C, dB, dC
    for start in range((L - 1) // TILE * TILE, -1, -TILE):
        steps = min(TILE, L - start)
        copy_tile(streams, scan, sequence, start, steps)
        streams[2 * N :] = 0.0
        for i in range(blocks):
            row, count, A = rows[i, 0], rows[i, 1], constants[i]
            gather(h, kept, row, count, start // TILE * N, N)
            gather(tiles[DY:], dy, row, count, start, steps)
            bounded = load_inputs(tiles, scan, A, (row, count), start, steps)
            next_row, next_count, next_start = following(rows, i, start, -TILE)
            ask(scan.u, next_row, next_count, next_start)
            ask(scan.delta, next_row, next_count, next_start)
            ask(dy, next_row, next_count, next_start)
            tiles[DDELTA : DDELTA_U + TILE] = 0.0
            backward_tile(tiles, streams, h, dh[i], A, totals[i], steps, bounded)
            close_tile(tiles, at(A, N), scan.delta_softplus, steps)
            scatter(grad.u, row, count, start, tiles[DDELTA_U:], steps)
            scatter(grad.delta, row, count, start, tiles[DDELTA:], steps)
            accumulate(totals[i], N, pairwise_sum(tiles[TERM:], steps))
            accumulate(totals[i], N + 1, pairwise_sum(tiles[DDELTA:], steps))
        for n in range(N):
            copy(grad.B, of_part + n, start, streams, 2 * N + n, 0, steps)
            copy(grad.C, of_part + n, start, streams, 3 * N + n, 0, steps)
    close_task(grad, rows, totals)


def entry_points(simd: int, keeps: bool) -> tuple[Callable, Callable]:
    """Return the kernels `forward` and `backward`, compiled for the numba_simd.py of this checksum: a kernel's cache key has that.

    They are kept from one process to the next where `keeps` says that there is a folder for them.
    """

    @njit(parallel=True, nogil=True, cache=keeps, error_model="numpy")
    def forward(scan: Operands, y: np.ndarray, kept: np.ndarray, parts: int) -> None:
        """Fill y (R, L), and kept (R, tiles * N) unless it is empty; a task is one of the parts of a sequence's blocks."""
        simd  # noqa: B018 - enclosed by being named
        for task in prange(scan.B.shape[0] // (scan.constants.shape[1] - 2) * parts):
            forward_task(scan, y, kept, task, parts)

    @njit(parallel=True, nogil=True, cache=keeps, error_model="numpy")
    def backward(scan: Operands, dy: np.ndarray, kept: np.ndarray, grad: Gradients, parts: int) -> None:
        """Fill `grad` from dy (R, L) and kept (R, tiles * N); a task is one of the parts of a sequence's blocks."""
        simd  # noqa: B018
        for task in prange(scan.B.shape[0] // (scan.constants.shape[1] - 2) * parts):
            backward_task(scan, dy, kept, grad, task, parts)

    return forward, backward


with keeping() as _keeps:
    forward, backward = entry_points(zlib.crc32(Path(numba_simd.__file__).read_bytes()), _keeps)
