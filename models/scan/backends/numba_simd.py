"""Explicit SIMD for the Numba backend: the type `Lanes`, a vector register of float32, with its arithmetic, and what moves and sums tiles.

LLVM's own vectoriser stops where arrays might overlap. A *tile* is a C-contiguous float32 array (rows, LANES), a *matrix* one of any width;
indices are neither checked nor wrapped. Each operation emits LLVM instructions (`emits`); the decorator names its arguments.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core import base, cgutils, datamodel, typing
from numba.core.codegen import get_host_cpu_features
from numba.core.typing.templates import AbstractTemplate, Signature, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 16 if "+avx512f" in get_host_cpu_features().split(",") else 8  # of float32: one register, or two of 128 bits

FLOAT, INTEGER = ir.FloatType(), ir.IntType(32)
FLOATS, INTEGERS = ir.VectorType(FLOAT, LANES), ir.VectorType(INTEGER, LANES)
Emit = Callable[[base.BaseContext, ir.IRBuilder, Signature, list[ir.Value]], ir.Value]


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


def emits(result: types.Type, *names: str) -> Callable[[Emit], Callable]:
    """Make a function of arguments of these names, for use in kernels, of one that emits its instructions; integers become indices."""

    def decorate(emit: Emit) -> Callable:
        """Make the function; it has the name, the docstring and the arguments' names of what emits."""

        def define(_typing: typing.Context, *args: types.Type) -> tuple[Signature, Emit]:
            return result(*(types.intp if isinstance(of, types.Integer) else of for of in args)), emit

        define.__name__, define.__doc__ = emit.__name__, emit.__doc__
        define.__signature__ = inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("_typing", *names)]
        )
        return intrinsic(define)

    return decorate


def widen(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> list[ir.Value]:
    """Return the arguments as vectors: Lanes as they are, a number in every lane."""

    def vector(of: types.Type, value: ir.Value) -> ir.Value:
        if isinstance(of, Lanes):
            return value
        number = context.cast(builder, value, of, types.float32)
        first = builder.insert_element(ir.Constant(FLOATS, ir.Undefined), number, ir.Constant(INTEGER, 0))
        return shuffle(builder, first, first, [0] * LANES)

    return [vector(of, value) for of, value in zip(sig.args, args, strict=True)]


def shuffle(builder: ir.IRBuilder, x: ir.Value, y: ir.Value, indices: list[int]) -> ir.Value:
    """Lanes of x (0 ... LANES - 1) and of y (LANES ...) in the order given."""
    return builder.shuffle_vector(x, y, ir.Constant(INTEGERS, indices))


def define_operator(symbol: Callable, instruction: str) -> None:
    """Arithmetic of Lanes with Lanes or numbers. LLVM may fuse a product with a sum, no more: it would fold rounding by addition away."""

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


@emits(lanes, "x", "y", "z")
def fma(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> ir.Value:
    """Return the sum x y + z, rounded once where the processor can; tells which of a recurrence's products is fused."""
    of = ir.FunctionType(FLOATS, [FLOATS] * 3)
    function = cgutils.get_or_insert_function(builder.module, of, f"llvm.fmuladd.v{LANES}f32")
    return builder.call(function, widen(context, builder, sig, args))


@emits(lanes, "x", "low", "high")
def clamp(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> ir.Value:
    """Return the larger of low and the smaller of x and high; NaN stays NaN."""
    x, low, high = widen(context, builder, sig, args)
    x = builder.select(builder.fcmp_ordered(">", x, high), high, x)
    return builder.select(builder.fcmp_ordered("<", x, low), low, x)


@emits(lanes, "x", "y", "z")
def where_negative(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> ir.Value:
    """In each lane y where x < 0, else z."""
    x, y, z = widen(context, builder, sig, args)
    return builder.select(builder.fcmp_ordered("<", x, ir.Constant(FLOATS, [0.0] * LANES)), y, z)


@emits(types.boolean, "x", "limit")
def within(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> ir.Value:
    """Tell whether x <= limit in every lane; False where one is NaN."""
    inside = builder.bitcast(builder.fcmp_ordered("<=", *widen(context, builder, sig, args)), ir.IntType(LANES))
    return builder.icmp_unsigned("==", inside, ir.Constant(inside.type, 2**LANES - 1))


@emits(lanes, "x", "k")
def add_to_exponent(_context: base.BaseContext, builder: ir.IRBuilder, _sig: Signature, args: list[ir.Value]) -> ir.Value:
    """Return the product x 2^k, for an integer k held in the low bits of a float."""
    x, k = (builder.bitcast(value, INTEGERS) for value in args)
    return builder.bitcast(builder.add(x, builder.shl(k, ir.Constant(INTEGERS, [23] * LANES))), FLOATS)


def element(context: base.BaseContext, builder: ir.IRBuilder, of: types.Array, args: list[ir.Value]) -> ir.Value:
    """Pointer to an element; args: matrix, row, column."""
    if of.layout != "C" or of.dtype != types.float32 or of.ndim != 2:
        raise TypeError(f"contiguous float32 matrices only, not {of}")
    value, row, column = args
    matrix = context.make_array(of)(context, builder, value)
    width = cgutils.unpack_tuple(builder, matrix.shape, 2)[1]
    return builder.gep(matrix.data, [builder.add(builder.mul(row, width), column)])


def rows_of_matrix(context: base.BaseContext, builder: ir.IRBuilder, of: types.Array, args: list[ir.Value]) -> list[ir.Value]:
    """Pointers to LANES elements of each of LANES rows; args: matrix, first row, first column."""
    value, row, column = args
    rows = (builder.add(row, ir.Constant(row.type, i)) for i in range(LANES))
    return [builder.bitcast(element(context, builder, of, [value, i, column]), FLOATS.as_pointer()) for i in rows]


def rows_of_tile(context: base.BaseContext, builder: ir.IRBuilder, of: types.Array, args: list[ir.Value]) -> list[ir.Value]:
    """Pointers to LANES rows, whose width is known here; args: tile, first row."""
    if of.layout != "C" or of.dtype != types.float32 or of.ndim != 2:
        raise TypeError(f"contiguous float32 tiles only, not {of}")
    data = context.make_array(of)(context, builder, args[0]).data
    first = builder.mul(args[1], ir.Constant(args[1].type, LANES))
    pointers = (builder.gep(data, [builder.add(first, ir.Constant(first.type, i * LANES))]) for i in range(LANES))
    return [builder.bitcast(pointer, FLOATS.as_pointer()) for pointer in pointers]


@emits(lanes, "tile", "t")
def at(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> ir.Value:
    """Row t of the tile."""
    return builder.load(rows_of_tile(context, builder, sig.args[0], args)[0], align=4)


@emits(types.none, "tile", "t", "x")
def put(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> ir.Value:
    """Store x as row t of the tile."""
    builder.store(args[2], rows_of_tile(context, builder, sig.args[0], args[:2])[0], align=4)
    return context.get_dummy_value()


@emits(lanes, "matrix", "row", "column")
def spread(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> ir.Value:
    """Return the element in every lane."""
    number = builder.load(element(context, builder, sig.args[0], args))
    return widen(context, builder, signature(lanes, types.float32), [number])[0]


@emits(types.none, "matrix", "row", "column")
def prefetch(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> ir.Value:
    """Ask for the element's cache line."""
    pointer = builder.bitcast(element(context, builder, sig.args[0], args), ir.IntType(8).as_pointer())
    of = ir.FunctionType(ir.VoidType(), [pointer.type, INTEGER, INTEGER, INTEGER])
    function = cgutils.get_or_insert_function(builder.module, of, "llvm.prefetch.p0")
    builder.call(function, [pointer, *(ir.Constant(INTEGER, i) for i in (0, 3, 1))])  # to read, to keep, data
    return context.get_dummy_value()


def transpose(builder: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """Return the columns of these LANES vectors: their off-diagonal halves change places, then the quarters of each half, and so on."""
    d = LANES // 2
    while d:
        for i in (i for i in range(LANES) if not i & d):
            x, y = rows[i], rows[i + d]
            rows[i] = shuffle(builder, x, y, [lane + LANES - d if lane & d else lane for lane in range(LANES)])
            rows[i + d] = shuffle(builder, x, y, [lane + LANES if lane & d else lane + d for lane in range(LANES)])
        d //= 2
    return rows


def move(builder: ir.IRBuilder, sources: list[ir.Value], targets: list[ir.Value]) -> None:
    """Store the transpose of what the LANES sources point to."""
    rows = [builder.load(source, align=4) for source in sources]
    for x, target in zip(transpose(builder, rows), targets, strict=True):
        builder.store(x, target, align=4)


@emits(types.none, "tile", "t", "matrix", "row", "column")
def transpose_in(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> ir.Value:
    """LANES rows of the tile, from t on, become LANES columns of LANES rows of the matrix, from [row, column] on."""
    tile, matrix = rows_of_tile(context, builder, sig.args[0], args[:2]), rows_of_matrix(context, builder, sig.args[2], args[2:])
    move(builder, matrix, tile)
    return context.get_dummy_value()


@emits(types.none, "matrix", "row", "column", "tile", "t")
def transpose_out(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> ir.Value:
    """Return the inverse of `transpose_in`."""
    matrix, tile = rows_of_matrix(context, builder, sig.args[0], args[:3]), rows_of_tile(context, builder, sig.args[3], args[3:])
    move(builder, tile, matrix)
    return context.get_dummy_value()


def lane_sums(builder: ir.IRBuilder, rows: list[ir.Value]) -> ir.Value:
    """Return a vector of the sums over lanes of LANES vectors, in their order.

    A step halves the vectors: in x it adds to lanes those d further on, likewise in y, and puts the sums of both into one vector. It stays
    within 128 bits first, where one shuffle serves every four lanes; then whole fours move.
    """
    d = 2
    while len(rows) > 1:
        half = [lane for lane in range(LANES) if not lane & d]
        run = 2 if d < 4 else len(half)  # of these from x, then as many from y
        low = [lane + LANES * of for i in range(0, len(half), run) for of in (0, 1) for lane in half[i : i + run]]
        high = [lane + d for lane in low]
        pairs = zip(rows[::2], rows[1::2], strict=True)
        rows = [builder.fadd(shuffle(builder, x, y, low), shuffle(builder, x, y, high)) for x, y in pairs]
        d = {2: 1, 1: LANES // 2}.get(d, d // 2)
    return rows[0]


@emits(types.none, "matrix", "row", "column", "tile", "t")
def add_totals(context: base.BaseContext, builder: ir.IRBuilder, sig: Signature, args: list[ir.Value]) -> ir.Value:
    """Add the sums over lanes of LANES rows of the tile, from t on, to the matrix from [row, column] on.

    Always in the same order.
    """
    rows = [builder.load(pointer, align=4) for pointer in rows_of_tile(context, builder, sig.args[3], args[3:])]
    pointer = builder.bitcast(element(context, builder, sig.args[0], args[:3]), FLOATS.as_pointer())
    builder.store(builder.fadd(builder.load(pointer, align=4), lane_sums(builder, rows)), pointer, align=4)
    return context.get_dummy_value()
