"""Compiled kernels of the Numba backend: the selective scan and its gradient, vectorised over channels.

Source: Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces" (2023), equation 2a, discretised as in their code.
For one channel with input u, step delta and a state h of N values:

    h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t          y_t = C_t . h_t + D u_t

Layout. A *row* is one channel of one image: u, delta, y are (R, L), R = batch * channels. A *sequence* is the B and C that the rows of one
group share: (S, N, L), S = batch * groups. A *block* is up to LANES rows of a sequence, one to a SIMD lane; lanes left over hold zeros. It
proceeds in *tiles* of TILE steps, transposed to (TILE, LANES): one vector load reads a step of every lane, while B_t, C_t are numbers. The
loop over states stands outside that over a tile's steps: h is a register, a tile stays in the first-level cache, N is a run-time value.

The gradient keeps h at the start of every tile only, then visits the tiles from last to first, recomputes their states and runs the adjoint
recurrence over them. A name such as `dB` is the gradient of the loss with respect to B.

SIMD is explicit, by a Numba type `Lanes` held in a vector register: LLVM's own vectoriser stops where arrays might overlap.
Numba's cache notices changes of this file only, so everything compiled is in it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import base, cgutils, datamodel, typing
from numba.core.codegen import get_host_cpu_features
from numba.core.typing.templates import AbstractTemplate, Signature, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from models.scan.numba import Gradients, Operands

LANES = 16 if "+avx512f" in get_host_cpu_features().split(",") else 8  # of float32: one register, or two of 128 bits
TILE = 64  # steps between kept states: the tiles of a block fit the first-level cache

FLOAT, INTEGER = ir.FloatType(), ir.IntType(32)
FLOATS, INTEGERS = ir.VectorType(FLOAT, LANES), ir.VectorType(INTEGER, LANES)
Emitted = tuple[Signature, Callable[..., ir.Value]]


class Lanes(types.Type):
    """LANES float32 values, one for each row of a block."""

    def __init__(self) -> None:
        super().__init__(name=f"Lanes({LANES})")


lanes = Lanes()


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """Lanes are an LLVM vector wherever they are."""

    def __init__(self, manager: datamodel.DataModelManager, of: Lanes) -> None:
        super().__init__(manager, of, FLOATS)


def widen(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> list[ir.Value]:
    """The arguments as vectors: Lanes as they are, a number in every lane."""

    def vector(of: types.Type, value: ir.Value) -> ir.Value:
        if isinstance(of, Lanes):
            return value
        number = context.cast(builder, value, of, types.float32)
        first = builder.insert_element(ir.Constant(FLOATS, ir.Undefined), number, ir.Constant(INTEGER, 0))
        return builder.shuffle_vector(first, first, ir.Constant(INTEGERS, [0] * LANES))

    return [vector(of, value) for of, value in zip(sig.args, args, strict=True)]


def call(builder: ir.IRBuilder, name: str, result: ir.Type, args: list[ir.Value], flags: tuple[str, ...] = ()) -> ir.Value:
    """Call LLVM's function `name` of a float32 vector."""
    of = ir.FunctionType(result, [argument.type for argument in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, of, f"llvm.{name}.v{LANES}f32"), args, fastmath=flags)


def define_operator(symbol: Callable, instruction: str) -> None:
    """Arithmetic of Lanes with Lanes or numbers. LLVM may fuse a product with a sum, no more: it would fold the rounding in `exp2` away."""

    class Arithmetic(AbstractTemplate):
        key = symbol

        def generic(self, args: tuple[types.Type, ...], _keywords: dict[str, types.Type]) -> Signature | None:
            ours = any(isinstance(of, Lanes) for of in args) and all(isinstance(of, Lanes | types.Float) for of in args)
            return signature(lanes, *args) if ours else None

    def emit(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> ir.Value:
        return getattr(builder, instruction)(*widen(context, builder, sig, args), flags=("contract",))

    infer_global(symbol)(Arithmetic)
    for left, right in ((Lanes, Lanes), (Lanes, types.Float), (types.Float, Lanes)):
        lower_builtin(symbol, left, right)(emit)


define_operator(operator.add, "fadd")
define_operator(operator.sub, "fsub")
define_operator(operator.mul, "fmul")
define_operator(operator.truediv, "fdiv")


@intrinsic
def fma(_typing: typing.Context, x: Lanes, y: Lanes, z: Lanes) -> Emitted:
    """The sum x y + z, rounded once where the processor can; tells which of a recurrence's products is fused."""
    return lanes(x, y, z), lambda context, builder, sig, args: call(builder, "fmuladd", FLOATS, widen(context, builder, sig, args))


@intrinsic
def clamp(_typing: typing.Context, x: Lanes, low: Lanes, high: Lanes) -> Emitted:
    """The larger of low and the smaller of x and high; NaN stays NaN."""

    def emit(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> ir.Value:
        x, low, high = widen(context, builder, sig, args)
        x = builder.select(builder.fcmp_ordered(">", x, high), high, x)
        return builder.select(builder.fcmp_ordered("<", x, low), low, x)

    return lanes(x, low, high), emit


@intrinsic
def add_to_exponent(_typing: typing.Context, x: Lanes, k: Lanes) -> Emitted:
    """The product x 2^k, for an integer k held in the low bits of a float (see `ROUNDER`)."""

    def emit(_context: base.BaseContext, builder: ir.IRBuilder, _sig: Signature, args: list[ir.Value]) -> ir.Value:
        x, k = (builder.bitcast(value, INTEGERS) for value in args)
        return builder.bitcast(builder.add(x, builder.shl(k, ir.Constant(INTEGERS, [23] * LANES))), FLOATS)

    return lanes(x, k), emit


def element(context: base.BaseContext, builder: ir.IRBuilder, array: types.Array, args: list[ir.Value]) -> ir.Value:
    """Pointer to an element of a vector (args: array, index), or to a row of a tile."""
    if array.layout != "C" or array.dtype != types.float32:
        raise TypeError(f"contiguous float32 arrays only, not {array}")
    value, index = args[:2]
    if array.ndim == 2:
        index = builder.mul(index, ir.Constant(index.type, LANES))
    pointer = builder.gep(context.make_array(array)(context, builder, value).data, [index])
    return builder.bitcast(pointer, FLOATS.as_pointer()) if array.ndim == 2 else pointer


@intrinsic
def at(_typing: typing.Context, array: types.Array, t: types.Integer) -> Emitted:
    """Row t of a (steps, LANES) tile, or element t of a (steps,) vector in every lane; unchecked, as are `put` and `add_total`."""

    def emit(context: base.BaseContext, builder: ir.IRBuilder, _sig: Signature, args: list[ir.Value]) -> ir.Value:
        pointer = element(context, builder, array, args)
        if array.ndim == 2:
            return builder.load(pointer, align=4)
        return widen(context, builder, signature(lanes, types.float32), [builder.load(pointer)])[0]

    return lanes(array, t), emit


@intrinsic
def put(_typing: typing.Context, tile: types.Array, t: types.Integer, x: Lanes) -> Emitted:
    """Store x as row t of a (steps, LANES) tile."""

    def emit(context: base.BaseContext, builder: ir.IRBuilder, _sig: Signature, args: list[ir.Value]) -> ir.Value:
        builder.store(args[2], element(context, builder, tile, args), align=4)
        return context.get_dummy_value()

    return types.none(tile, t, x), emit


@intrinsic
def add_total(_typing: typing.Context, vector: types.Array, t: types.Integer, x: Lanes) -> Emitted:
    """Add the sum of x over its lanes, always in the same order, to element t of a (steps,) vector."""

    def emit(context: base.BaseContext, builder: ir.IRBuilder, _sig: Signature, args: list[ir.Value]) -> ir.Value:
        pointer = element(context, builder, vector, args)
        total = call(builder, "vector.reduce.fadd", FLOAT, [ir.Constant(FLOAT, -0.0), args[2]], ("reassoc",))
        builder.store(builder.fadd(builder.load(pointer), total), pointer)
        return context.get_dummy_value()

    return types.none(vector, t, x), emit


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
def exp2(x: Lanes) -> Lanes:
    """2^x; 0 up to x = -127, infinite from 128."""
    x = clamp(x, -127.0, 128.0)
    k = x + ROUNDER
    return power_of_two(x - (k - ROUNDER), k)


@inlined
def exp_minus_abs(x: Lanes) -> Lanes:
    """exp(-|x|), at least 1.6e-38; log2(e) in two parts, so that a large |x| costs no digits."""
    x = clamp(x, -87.0, 0.0 - x)
    k = fma(x, LOG2E, ROUNDER)
    return power_of_two(fma(x, LOG2E_REST, fma(x, LOG2E, ROUNDER - k)), k)


@inlined
def softplus(x: Lanes) -> Lanes:
    """log(1 + exp(x)) = max(x, 0) + log1p(z), z = exp(-|x|), so that a small result keeps its digits; log1p(z) = 2 artanh(s),
    s = z / (2 + z) <= 1/3, by the series of artanh to s^13 (relative error 2e-8).
    """
    z = exp_minus_abs(x)
    s = z / (z + 2.0)
    q = s * s
    p = fma(fma(fma(fma(1 / 13, q, 1 / 11), q, 1 / 9), q, 1 / 7), q, 1 / 5)
    return clamp(x, 0.0, np.inf) + (s + s) * fma(fma(p, q, 1 / 3), q, 1.0)


@inlined
def sigmoid(x: Lanes) -> Lanes:
    """1 / (1 + exp(-x)), the derivative of softplus."""
    return exp_minus_abs(clamp(x, -np.inf, 0.0)) / (exp_minus_abs(x) + 1.0)


# Where the (TILE, LANES) tiles of a block begin, and end: inputs, output, values kept for the adjoint, gradients.
U, RAW, DELTA, DELTA_U, Y, DY, DECAY, CARRIED, DDELTA, DDELTA_U, TILES = range(0, 11 * TILE, TILE)


@inlined
def scan_tile(tiles: np.ndarray, h: Lanes, A_log2e: Lanes, B: np.ndarray, C: np.ndarray) -> Lanes:
    """One state through a tile, y_t += C_t h_t; returns h after the last step."""
    for t in range(B.size):
        h = fma(exp2(at(tiles, DELTA + t) * A_log2e), h, at(B, t) * at(tiles, DELTA_U + t))
        put(tiles, Y + t, fma(at(C, t), h, at(tiles, Y + t)))
    return h


@inlined
def recompute_tile(tiles: np.ndarray, h: Lanes, A_log2e: Lanes, B: np.ndarray, dC: np.ndarray) -> None:
    """One state through a tile again: dC_t += sum of dy_t h_t over rows; keeps exp(delta_t A), and exp(delta_t A) h_{t-1} as CARRIED."""
    for t in range(B.size):
        decay = exp2(at(tiles, DELTA + t) * A_log2e)
        carried = decay * h
        h = fma(at(B, t), at(tiles, DELTA_U + t), carried)
        put(tiles, DECAY + t, decay)
        put(tiles, CARRIED + t, carried)
        add_total(dC, t, at(tiles, DY + t) * h)


@inlined
def adjoint_tile(tiles: np.ndarray, dh: Lanes, A: Lanes, B: np.ndarray, C: np.ndarray, dB: np.ndarray) -> tuple[Lanes, Lanes]:
    """One state back through a tile: dh_t = C_t dy_t + exp(delta_{t+1} A) dh_{t+1}, where `dh` is that last term for the last step.

    Adds to dB_t, to DDELTA what reaches delta through the decay, and to DDELTA_U what reaches delta u. Returns `dh` for the tile before,
    and this tile's part of dA.
    """
    dA = dh * 0.0
    for t in range(B.size - 1, -1, -1):
        dh = fma(at(C, t), at(tiles, DY + t), dh)
        dexponent = dh * at(tiles, CARRIED + t)
        dA = fma(dexponent, at(tiles, DELTA + t), dA)
        put(tiles, DDELTA + t, fma(dexponent, A, at(tiles, DDELTA + t)))
        put(tiles, DDELTA_U + t, fma(dh, at(B, t), at(tiles, DDELTA_U + t)))
        add_total(dB, t, dh * at(tiles, DELTA_U + t))
        dh = dh * at(tiles, DECAY + t)
    return dh, dA


@device
def gather(tile: np.ndarray, rows: np.ndarray) -> None:
    """Transpose rows (count, steps) into the first steps and lanes of a tile."""
    for lane in range(rows.shape[0]):
        row, column = rows[lane], tile[:, lane]
        for t in range(row.size):
            column[t] = row[t]


@device
def scatter(rows: np.ndarray, tile: np.ndarray) -> None:
    """Transpose the first steps and lanes of a tile into rows (count, steps)."""
    for lane in range(rows.shape[0]):
        row, column = rows[lane], tile[:, lane]
        for t in range(row.size):
            row[t] = column[t]


@device
def load_inputs(tiles: np.ndarray, scan: Operands, bias: Lanes, rows: slice, steps: slice) -> None:
    """Fill U, RAW = delta + delta_bias, DELTA and DELTA_U."""
    gather(tiles[U:], scan.u[rows, steps])
    gather(tiles[RAW:], scan.delta[rows, steps])
    for t in range(steps.stop - steps.start):
        raw = at(tiles, RAW + t) + bias
        delta = softplus(raw) if scan.delta_softplus else raw
        put(tiles, RAW + t, raw)
        put(tiles, DELTA + t, delta)
        put(tiles, DELTA_U + t, delta * at(tiles, U + t))


@device
def forward_block(scan: Operands, y: np.ndarray, sequence: int, block: int) -> tuple[slice, np.ndarray, np.ndarray, np.ndarray]:
    """Fill y of a block; returns its rows, constants (N + 2, LANES), tiles, and h at the ends of tiles (tiles + 1, N, LANES)."""
    S, N, L = scan.B.shape
    size = scan.u.shape[0] // S
    first, channel = sequence * size + block * LANES, (sequence * size + block * LANES) % scan.constants.shape[0]
    rows = slice(first, min(first + LANES, sequence * size + size))
    constants, tiles = np.zeros((N + 2, LANES), np.float32), np.zeros((TILES, LANES), np.float32)
    gather(constants, scan.constants[channel : channel + rows.stop - rows.start, :])
    h = np.zeros(((L + TILE - 1) // TILE + 1, N, LANES), np.float32)
    for i, start in enumerate(range(0, L, TILE)):
        stop = min(start + TILE, L)
        load_inputs(tiles, scan, at(constants, N + 1), rows, slice(start, stop))
        tiles[Y : Y + TILE] = 0.0
        for n in range(N):
            B, C = scan.B[sequence, n, start:stop], scan.C[sequence, n, start:stop]
            put(h[i + 1], n, scan_tile(tiles, at(h[i], n), at(constants, n) * LOG2E, B, C))
        for t in range(stop - start):  # last, so that a large D u does not round the sum over states
            put(tiles, Y + t, fma(at(constants, N), at(tiles, U + t), at(tiles, Y + t)))
        scatter(y[rows, start:stop], tiles[Y:])
    return rows, constants, tiles, h


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def forward(scan: Operands, y: np.ndarray) -> None:
    """Fill y (R, L); a task is one block."""
    sequences = scan.B.shape[0]
    blocks = -(-(scan.u.shape[0] // sequences) // LANES)
    for task in prange(sequences * blocks):
        forward_block(scan, y, task // blocks, task % blocks)


@device
def close_tile(tiles: np.ndarray, D: Lanes, delta_softplus: bool, steps: int) -> None:
    """Complete DDELTA, turn DDELTA_U into du, and put what every step adds to dD into DECAY."""
    for t in range(steps):
        u, dy, ddelta_u = at(tiles, U + t), at(tiles, DY + t), at(tiles, DDELTA_U + t)
        ddelta = fma(ddelta_u, u, at(tiles, DDELTA + t))
        if delta_softplus:
            ddelta = ddelta * sigmoid(at(tiles, RAW + t))
        put(tiles, DDELTA + t, ddelta)
        put(tiles, DDELTA_U + t, fma(ddelta_u, at(tiles, DELTA + t), D * dy))
        put(tiles, DECAY + t, dy * u)


@device
def pairwise_sum(parts: np.ndarray) -> np.ndarray:
    """The sum of parts (P, rows, LANES) over P, which it destroys; rounding errors grow with log P."""
    gap = 1
    while gap < parts.shape[0]:
        for i in range(0, parts.shape[0] - gap, 2 * gap):
            for row in range(parts.shape[1]):
                put(parts[i], row, at(parts[i], row) + at(parts[i + gap], row))
        gap *= 2
    return parts[0]


@device
def backward_block(scan: Operands, dy: np.ndarray, grad: Gradients, part: int, sequence: int, block: int) -> None:
    """Gradients of a block; those of B and C are added to a part."""
    rows, constants, tiles, h = forward_block(scan, grad.u, sequence, block)  # y lands where du will be
    N, L = scan.B.shape[1:]
    dconstants, dh = np.zeros((h.shape[0] - 1, N + 2, LANES), np.float32), np.zeros((N, LANES), np.float32)
    for i in range((L - 1) // TILE, -1, -1):
        start, stop = i * TILE, min((i + 1) * TILE, L)
        load_inputs(tiles, scan, at(constants, N + 1), rows, slice(start, stop))
        gather(tiles[DY:], dy[rows, start:stop])
        tiles[DDELTA:] = 0.0
        for n in range(N):
            A, B, C = at(constants, n), scan.B[sequence, n, start:stop], scan.C[sequence, n, start:stop]
            recompute_tile(tiles, at(h[i], n), A * LOG2E, B, grad.C[part, sequence, n, start:stop])
            dh_n, dA = adjoint_tile(tiles, at(dh, n), A, B, C, grad.B[part, sequence, n, start:stop])
            put(dh, n, dh_n)
            put(dconstants[i], n, dA)
        close_tile(tiles, at(constants, N), scan.delta_softplus, stop - start)
        scatter(grad.u[rows, start:stop], tiles[DDELTA_U:])
        scatter(grad.delta[rows, start:stop], tiles[DDELTA:])
        for row, tile in ((N, DECAY), (N + 1, DDELTA)):
            steps = tiles[tile : tile + stop - start].reshape((stop - start, 1, LANES))
            put(dconstants[i], row, at(pairwise_sum(steps), 0))
    scatter(grad.constants[rows, :], pairwise_sum(dconstants))


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def backward(scan: Operands, dy: np.ndarray, grad: Gradients) -> None:
    """Fill `grad` from dy (R, L); a task is one part of a sequence's blocks, in turn."""
    parts, sequences = grad.B.shape[:2]
    blocks = -(-(scan.u.shape[0] // sequences) // LANES)
    for task in prange(sequences * parts):
        sequence, part = task // parts, task % parts
        for block in range(blocks * part // parts, blocks * (part + 1) // parts):
            backward_block(scan, dy, grad, part, sequence, block)
