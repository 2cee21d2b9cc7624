"""The Triton kernel of the selective scan's gradient; walks, pieces, chunks and tiles are those of `triton_kernels`.

With g_t the gradient of h_t, a_t = exp(delta_t A) and G_t = a_t g_t what step t hands to the step before it:

    g_t = C_t dy_t + G_{t+1}      dC_t = sum over channels h_t dy_t      dB_t = sum over channels g_t delta_t u_t
    du_t = delta_t (g_t . B_t) + D dy_t      ddelta_t = g_t . (A a_t h_{t-1}) + u_t (g_t . B_t)      dA = sum over t g_t delta_t a_t h_{t-1}

`chunk_ends` and `chunk_carry` with ADJOINT leave the G that each chunk is handed; `scan_gradients` starts from it. Of each piece, last one
first, it walks forward from the kept state and leaves the state before every SUB steps in `scratch`; then, from the last SUB steps to the
first, it computes their states again, holds them in registers and walks back. Nothing is shared between programs but sums over
channels and over chunks, of which each program writes its own part; they are added afterwards, always in the same order.
"""

from __future__ import annotations

import triton
import triton.language as tl

from models.scan.backends.triton_kernels import (
    advance,
    chunk_at,
    load_low_rank,
    load_tiles,
    load_vectors,
    piece_at,
    pieces_before,
    step_size,
    store_tiles,
    walk_of,
    zero_tiles,
)

# ruff: noqa: ANN001, ANN201 - Triton knows the kinds of its functions' arguments, and takes no structures that would hold many of them
LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def softplus_slope(delta):
    """Return the derivative of softplus where its value is delta: 1 - exp(-delta), by its series where that would cancel."""
    p = delta * -2.4801587e-5 + 1.98412698e-4
    p = 1.38888889e-3 - delta * p
    p = 8.33333333e-3 - delta * p
    p = 4.16666667e-2 - delta * p
    p = 1.66666667e-1 - delta * p
    p = 0.5 - delta * p
    p = 1.0 - delta * p
    return tl.where(delta < 0.5, delta * p, 1.0 - tl.exp2(delta * -LOG2E))


@triton.jit
def store_vectors(at, vectors, there, STATES: tl.constexpr, N1: tl.constexpr, N2: tl.constexpr):
    """[N1] and [N2] to the STATES places at `at`."""
    n = tl.arange(0, N1)
    tl.store(at + n, vectors[0], mask=there & (n < STATES))
    if N2 > 0:
        n = N1 + tl.arange(0, N2)
        tl.store(at + n, vectors[1], mask=there & (n < STATES))


@triton.jit
def keep_states(
    h, decay, kept_delta, x, entry, delta, scratch, weights, offset, inside, steps, x_step, entry_step, delta_step,
    RANK: tl.constexpr, STATES: tl.constexpr, N1: tl.constexpr, N2: tl.constexpr,
    LANES: tl.constexpr, SOFTPLUS: tl.constexpr, SUB: tl.constexpr,
):  # fmt: skip
    """Walks a piece forwards: delta to `kept_delta`, and the state before every SUB steps to `scratch`."""
    for t in range(steps):
        if t % SUB == 0:
            store_tiles(scratch + (t // SUB) * ((N1 + N2) * LANES), h, LANES, N1, N2)
        value = tl.load(x, mask=inside, other=0.0).to(tl.float32)
        d = step_size(entry, delta, weights, offset, inside, RANK, SOFTPLUS)
        tl.store(kept_delta, d, mask=inside)
        h = advance(h, decay, d, d * value, load_vectors(entry + RANK, STATES, N1, N2), N2)
        x += x_step
        entry += entry_step
        delta += delta_step
        kept_delta += delta_step


@triton.jit
def step_back(G, A, h, dA, delta, du, dy, B, C):
    """Return, of one tile and step, h the state before it: G for the step before; g . B, g . (A a h); dA; dB, dC but for B's part in h."""
    g = C[:, None] * dy[None, :] + G
    a = tl.exp2(delta[None, :] * A)
    decayed = a * h
    q = g * decayed
    dB = tl.sum(g * du[None, :], axis=1)
    dC = tl.sum(decayed * dy[None, :], axis=1)
    return a * g, tl.sum(g * B[:, None], axis=0), tl.sum(q * A, axis=0), dA + q * delta[None, :], dB, dC


@triton.jit
def step_back_all(G, A, h, dA, delta, du, dy, B, C, N2: tl.constexpr):
    """`step_back` of the tiles that there are; C . h takes in B's part, delta u (B . dy)."""
    direct = tl.sum(du * dy, axis=0)
    G0, gB, qA, dA0, dB0, dC0 = step_back(G[0], A[0], h[0], dA[0], delta, du, dy, B[0], C[0])
    G_, dA_, dB_, dC_ = (G0,), (dA0,), (dB0,), (dC0 + B[0] * direct,)
    if N2 > 0:
        G1, gB1, qA1, dA1, dB1, dC1 = step_back(G[1], A[1], h[1], dA[1], delta, du, dy, B[1], C[1])
        G_, dA_, dB_, dC_ = (G0, G1), (dA0, dA1), (dB0, dB1), (dC0 + B[0] * direct, dC1 + B[1] * direct)
        gB += gB1
        qA += qA1
    return G_, gB, qA, dA_, dB_, dC_


@triton.jit(
    do_not_specialize=["span", "slots", "first_program"],
    do_not_specialize_on_alignment=["A", "kept", "starts", "constants", "scratch"],
)
def scan_gradients(
    dy, x, delta, proj, dt_proj, A, D, bias, kept, starts, dx, ddelta, sums, constants, scratch,
    images, height, width, channels, span, slots, first_program,
    DIRECTIONS: tl.constexpr, IMAGE: tl.constexpr, RANK: tl.constexpr, STATES: tl.constexpr, N1: tl.constexpr, N2: tl.constexpr,
    LANES: tl.constexpr, STEPS: tl.constexpr, SOFTPLUS: tl.constexpr, SPLIT: tl.constexpr, SUB: tl.constexpr,
):  # fmt: skip
    """Gradients: of x for each way there and back; of delta before softplus; sums over a block of channels, or over a chunk."""
    TURNS: tl.constexpr = 2 if IMAGE and DIRECTIONS > 1 else 1
    WAYS: tl.constexpr = DIRECTIONS // TURNS
    ENTRY: tl.constexpr = RANK + 2 * STATES
    TILES: tl.constexpr = (N1 + N2) * LANES
    blocks = tl.cdiv(channels, LANES)
    program = first_program + tl.program_id(0)
    block = program % blocks
    lanes = block * LANES + tl.arange(0, LANES)
    inside = lanes < channels
    place = (program // blocks) % slots
    way = program // blocks // slots % WAYS
    batch = program // blocks // slots // WAYS
    image = batch.to(tl.int64) * height * width
    all_channels = DIRECTIONS * channels
    x_row = channels if IMAGE else all_channels
    lanes_of_x = lanes if IMAGE else way * channels + lanes
    dx += way.to(tl.int64) * images * height * width * channels + lanes_of_x if IMAGE else lanes_of_x
    first = pieces_before(height, width, batch.to(tl.int64), DIRECTIONS, IMAGE, STEPS)
    sums += block.to(tl.int64) * images * height * width * (DIRECTIONS * 2 * STATES)
    scratch += tl.program_id(0).to(tl.int64) * (tl.cdiv(STEPS, SUB) * TILES)
    for turn in range(TURNS):
        k = way + turn * WAYS
        pieces, columns, backwards, before = walk_of(k, height, width, DIRECTIONS, IMAGE, STEPS)
        q, count = chunk_at(place, span, pieces, backwards)
        decay = load_tiles(A + (k * blocks + block) * TILES, LANES, N1, N2)
        weights = load_low_rank(dt_proj + k * RANK * channels, channels, lanes, inside, RANK)
        offset = tl.load(bias + k * channels + lanes, mask=inside, other=0.0)
        skip = tl.load(D + k * channels + lanes, mask=inside, other=0.0)
        slot = ((batch * DIRECTIONS + k) * slots + place).to(tl.int64) * blocks + block
        G = load_tiles(starts + slot * TILES, LANES, N1, N2) if SPLIT else zero_tiles(LANES, N1, N2)
        dA = zero_tiles(LANES, N1, N2)
        dD = tl.zeros((LANES,), tl.float32)
        dbias = tl.zeros((LANES,), tl.float32)
        lanes_of_k = k * channels + lanes
        for i in range(count):
            piece = q + count - 1 - i
            start, step, steps = piece_at(piece, pieces, height, width, columns, backwards, STEPS)
            pixel = image + start
            h = load_tiles(kept + ((first + before + piece) * blocks + block) * TILES, LANES, N1, N2)
            tl.debug_barrier()  # scratch and dx may be read by other threads than wrote them, where a channel has several
            keep_states(
                h, decay, ddelta + pixel * all_channels + lanes_of_k, x + pixel * x_row + lanes_of_x,
                proj + (pixel * DIRECTIONS + k) * ENTRY, delta + pixel * all_channels + lanes_of_k, scratch, weights, offset, inside,
                steps, step * x_row, step * (DIRECTIONS * ENTRY), step * all_channels,
                RANK, STATES, N1, N2, LANES, SOFTPLUS, SUB,
            )  # fmt: skip
            tl.debug_barrier()
            parts = tl.cdiv(steps, SUB)
            for part in range(parts):
                t0 = (parts - 1 - part) * SUB
                h = load_tiles(scratch + (t0 // SUB) * TILES, LANES, N1, N2)
                states = (h,)
                for j in tl.static_range(SUB - 1):
                    at = pixel + tl.minimum(t0 + j, steps - 1) * step
                    value = tl.load(x + at * x_row + lanes_of_x, mask=inside, other=0.0).to(tl.float32)
                    d = tl.load(ddelta + at * all_channels + lanes_of_k, mask=inside & (t0 + j < steps), other=0.0)
                    h = advance(h, decay, d, d * value, load_vectors(proj + (at * DIRECTIONS + k) * ENTRY + RANK, STATES, N1, N2), N2)
                    states = states + (h,)  # noqa: RUF005
                for j in tl.static_range(SUB):
                    t = t0 + (SUB - 1 - j)
                    there = t < steps  # steps beyond the end change nothing: their delta and dy are 0
                    at = pixel + tl.minimum(t, steps - 1) * step
                    value = tl.load(x + at * x_row + lanes_of_x, mask=inside, other=0.0).to(tl.float32)
                    slope = tl.load(dy + at * x_row + lanes_of_x, mask=inside & there, other=0.0).to(tl.float32)
                    d = tl.load(ddelta + at * all_channels + lanes_of_k, mask=inside & there, other=0.0)
                    entry = proj + (at * DIRECTIONS + k) * ENTRY + RANK
                    B = load_vectors(entry, STATES, N1, N2)
                    C = load_vectors(entry + STATES, STATES, N1, N2)
                    G, gB, qA, dA, dB, dC = step_back_all(G, decay, states[SUB - 1 - j], dA, d, d * value, slope, B, C, N2)
                    sums_at = sums + (at * DIRECTIONS + k) * (2 * STATES)
                    store_vectors(sums_at, dB, there, STATES, N1, N2)
                    store_vectors(sums_at + STATES, dC, there, STATES, N1, N2)
                    of_x = d * gB + skip * slope
                    if TURNS > 1:
                        of_x += tl.load(dx + at * x_row, mask=inside & there & (turn > 0), other=0.0)
                    tl.store(dx + at * x_row, of_x.to(dx.dtype.element_ty), mask=inside & there)
                    of_delta = qA * LN2 + value * gB
                    if SOFTPLUS:
                        of_delta *= softplus_slope(d)
                    tl.store(ddelta + at * all_channels + lanes_of_k, of_delta, mask=inside & there)
                    dD += slope * value
                    dbias += tl.where(there, of_delta, 0.0)
        constants_at = constants + slot * ((N1 + N2 + 2) * LANES)
        store_tiles(constants_at, dA, LANES, N1, N2)
        tl.store(constants_at + TILES + tl.arange(0, LANES), dD)
        tl.store(constants_at + TILES + LANES + tl.arange(0, LANES), dbias)
