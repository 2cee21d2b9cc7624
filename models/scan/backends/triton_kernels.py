"""Triton kernels of the selective scan's forward pass, and what they share with those of its gradient (`triton_backward`).

One program is one warp: LANES channels lie in its lanes and a thread holds all states of its channel, so that C . h is a sum inside a
thread. N states are one tile of N1, or one of N1 and one of N2 where a power of two would waste more (10 = 8 + 2).

A *walk* is one sequence: `steps` over an array whose rows hold the channels of one pixel, by address. Of an image (height, width) its even
directions are rows and columns, and the later half of the directions walk the former ones' ways backwards; a plain sequence is an image of
one row. A *piece* is at most STEPS steps of one line, so that within it an address grows by one constant; a *chunk* is `span` pieces one
after another, and what a program works through. Pieces and chunks are counted in the order of the walk.

Splitting the walk takes three passes: `scan_ends` leaves each chunk's last state from a state of 0, and the sum of its delta, whose
exp(A .) is the chunk's decay; `scan_carry` makes from these the state at each chunk's start; `scan_outputs` starts there. State,
delta and sums are float32 whatever the tensors are. No atomics, and nothing depends on the order in which programs run.
"""

from __future__ import annotations

import triton
import triton.language as tl

# ruff: noqa: ANN001, ANN201 - Triton knows the kinds of its functions' arguments, and takes no structures that would hold many of them
LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def softplus(x):
    """log(1 + exp(x)) = max(x, 0) + log1p(z), z = exp(-|x|): log1p(z) / z by a polynomial, so that a small result keeps its digits."""
    z = tl.exp2(tl.abs(x) * -LOG2E)
    p = z * 0.00536481836 - 0.0300657684
    p = p * z + 0.0792044968
    p = p * z - 0.137537991
    p = p * z + 0.191536534
    p = p * z - 0.248571633
    p = p * z + 0.333213226
    p = p * z - 0.49999648
    p = p * z + 1.0
    return tl.maximum(x, 0.0) + z * p


@triton.jit
def piece_at(q, pieces, height, width, columns, backwards, STEPS: tl.constexpr):
    """Return, of piece q of a walk, the pixel it starts at, how far it is from one to the next, and how many there are."""
    line = tl.where(columns, height, width)
    parts = tl.cdiv(line, STEPS)
    longest = tl.cdiv(line, parts)
    place = tl.where(backwards, pieces - 1 - q, q)
    first = (place % parts) * longest
    step = tl.where(columns, width, 1)
    count = tl.minimum(longest, line - first)
    start = (place // parts) * tl.where(columns, 1, width) + first * step
    return tl.where(backwards, start + (count - 1) * step, start), tl.where(backwards, -step, step), count


@triton.jit
def load_tiles(at, LANES: tl.constexpr, N1: tl.constexpr, N2: tl.constexpr):
    """Return the tiles [N1, LANES] and [N2, LANES] at `at`: rows one after another, so that a thread's addresses differ by constants."""
    lanes = tl.arange(0, LANES)[None, :]
    tiles = (tl.load(at + tl.arange(0, N1)[:, None] * LANES + lanes),)
    if N2 > 0:
        tiles = tiles + (tl.load(at + (N1 + tl.arange(0, N2)[:, None]) * LANES + lanes),)  # noqa: RUF005
    return tiles


@triton.jit
def store_tiles(at, tiles, LANES: tl.constexpr, N1: tl.constexpr, N2: tl.constexpr):
    """Return the counterpart of `load_tiles`."""
    lanes = tl.arange(0, LANES)[None, :]
    tl.store(at + tl.arange(0, N1)[:, None] * LANES + lanes, tiles[0])
    if N2 > 0:
        tl.store(at + (N1 + tl.arange(0, N2)[:, None]) * LANES + lanes, tiles[1])


@triton.jit
def zero_tiles(LANES: tl.constexpr, N1: tl.constexpr, N2: tl.constexpr):
    """Return a state of 0, and what else is laid out like one."""
    tiles = (tl.zeros((N1, LANES), tl.float32),)
    if N2 > 0:
        tiles = tiles + (tl.zeros((N2, LANES), tl.float32),)  # noqa: RUF005
    return tiles


@triton.jit
def load_vectors(at, STATES: tl.constexpr, N1: tl.constexpr, N2: tl.constexpr):
    """B or C at one step: [N1] and [N2] in float32."""
    n = tl.arange(0, N1)
    one = tl.load(at + n) if N1 <= STATES else tl.load(at + n, mask=n < STATES, other=0.0)
    vectors = (one.to(tl.float32),)
    if N2 > 0:
        n = N1 + tl.arange(0, N2)
        two = tl.load(at + n) if N1 + N2 <= STATES else tl.load(at + n, mask=n < STATES, other=0.0)
        vectors = vectors + (two.to(tl.float32),)  # noqa: RUF005
    return vectors


@triton.jit
def load_low_rank(at, row, lanes, inside, RANK: tl.constexpr):
    """Return the rows [LANES] of one direction's dt_proj (RANK, row); none where delta is given."""
    rows = ()
    for r in tl.static_range(RANK):
        rows = rows + (tl.load(at + r * row + lanes, mask=inside, other=0.0),)  # noqa: RUF005
    return rows


@triton.jit
def step_size(entry, delta, weights, bias, inside, RANK: tl.constexpr, SOFTPLUS: tl.constexpr):
    """Return the step size [LANES] of one step: from the low-rank factor at `entry`, or as given at `delta`."""
    if RANK > 0:
        x = bias
        for r in tl.static_range(RANK):
            x += weights[r] * tl.load(entry + r).to(tl.float32)
    else:
        x = tl.load(delta, mask=inside, other=0.0).to(tl.float32) + bias
    return softplus(x) if SOFTPLUS else x


@triton.jit
def advance(h, A, delta, du, B, N2: tl.constexpr):
    """Return the tiles of exp(delta A) h + delta B u; A is log2(e) times the scan's."""
    after = (tl.exp2(delta[None, :] * A[0]) * h[0] + du[None, :] * B[0][:, None],)
    if N2 > 0:
        after = after + (tl.exp2(delta[None, :] * A[1]) * h[1] + du[None, :] * B[1][:, None],)  # noqa: RUF005
    return after


@triton.jit
def withdraw(g, A, delta, dy, C, N2: tl.constexpr):
    """Return the tiles of exp(delta A) (g + C dy): from what a step is given of its state's gradient, what it hands to the step before."""
    before = (tl.exp2(delta[None, :] * A[0]) * (g[0] + dy[None, :] * C[0][:, None]),)
    if N2 > 0:
        before = before + (tl.exp2(delta[None, :] * A[1]) * (g[1] + dy[None, :] * C[1][:, None]),)  # noqa: RUF005
    return before


@triton.jit
def dot(C, h, N2: tl.constexpr):
    """C . h [LANES]."""
    y = tl.sum(C[0][:, None] * h[0], axis=0)
    if N2 > 0:
        y += tl.sum(C[1][:, None] * h[1], axis=0)
    return y


@triton.jit
def walk_of(k, height, width, DIRECTIONS: tl.constexpr, IMAGE: tl.constexpr, STEPS: tl.constexpr):
    """Return, of direction k, its pieces, whether it goes down columns, whether backwards, and the pieces of the directions before it."""
    of_rows = height * tl.cdiv(width, STEPS)
    of_columns = width * tl.cdiv(height, STEPS)
    columns = k < 0
    backwards = k < 0
    before = k * of_rows
    if IMAGE and DIRECTIONS > 1:
        backwards = k >= DIRECTIONS // 2
    if IMAGE and DIRECTIONS == 4:
        columns = k % 2 == 1
        before = (k // 2) * (of_rows + of_columns) + (k % 2) * of_rows
    return tl.where(columns, of_columns, of_rows), columns, backwards, before


@triton.jit
def pieces_before(height, width, images, DIRECTIONS: tl.constexpr, IMAGE: tl.constexpr, STEPS: tl.constexpr):
    """Return the pieces of all walks of so many images."""
    rows = height * tl.cdiv(width, STEPS)
    both = rows + width * tl.cdiv(height, STEPS)
    return images * (2 * both if IMAGE and DIRECTIONS == 4 else DIRECTIONS * rows)


@triton.jit
def chunk_at(place, span, pieces, backwards):
    """Return the first piece of the chunk at a place, and how many it has (none beyond the last); of a way back, too."""
    first = place * span
    count = tl.maximum(tl.minimum(span, pieces - first), 0)
    return tl.where(backwards, pieces - first - count, first), count


# Not knowing that rows of tiles are aligned, Triton leaves a channel in a lane, instead of loading four of them into each.
@triton.jit(do_not_specialize=["span", "slots"], do_not_specialize_on_alignment=["A", "ends", "sums"])
def chunk_ends(
    x, delta, proj, dt_proj, A, bias, ends, sums,
    height, width, channels, span, slots,
    DIRECTIONS: tl.constexpr, IMAGE: tl.constexpr, RANK: tl.constexpr, STATES: tl.constexpr, N1: tl.constexpr, N2: tl.constexpr,
    LANES: tl.constexpr, STEPS: tl.constexpr, SOFTPLUS: tl.constexpr, ADJOINT: tl.constexpr,
):  # fmt: skip
    """Store of every chunk the last state if the first is 0, and the sum of delta; ADJOINT: what its gradient hands on, with y's for x."""
    blocks = tl.cdiv(channels, LANES)
    program = tl.program_id(0)
    block = program % blocks
    lanes = block * LANES + tl.arange(0, LANES)
    inside = lanes < channels
    place = (program // blocks) % slots
    walk = program // blocks // slots
    k = walk % DIRECTIONS
    pieces, columns, backwards, _before = walk_of(k, height, width, DIRECTIONS, IMAGE, STEPS)
    q, count = chunk_at(place, span, pieces, backwards)

    ENTRY: tl.constexpr = RANK + 2 * STATES
    image = (walk // DIRECTIONS).to(tl.int64) * height * width
    all_channels = DIRECTIONS * channels
    x_row = channels if IMAGE else all_channels
    x += lanes if IMAGE else k * channels + lanes
    decay = load_tiles(A + (k * blocks + block) * ((N1 + N2) * LANES), LANES, N1, N2)
    weights = load_low_rank(dt_proj + k * RANK * channels, channels, lanes, inside, RANK)
    offset = tl.load(bias + k * channels + lanes, mask=inside, other=0.0)

    h = zero_tiles(LANES, N1, N2)
    total = tl.zeros((LANES,), tl.float32)
    for i in range(count):
        start, step, steps = piece_at(q + count - 1 - i if ADJOINT else q + i, pieces, height, width, columns, backwards, STEPS)
        if ADJOINT:
            start += (steps - 1) * step
            step = -step
        x_at = x + (image + start) * x_row
        entry = proj + ((image + start) * DIRECTIONS + k) * ENTRY
        delta_at = delta + (image + start) * all_channels + k * channels + lanes
        for _ in range(steps):
            value = tl.load(x_at, mask=inside, other=0.0).to(tl.float32)
            d = step_size(entry, delta_at, weights, offset, inside, RANK, SOFTPLUS)
            total += d
            if ADJOINT:
                h = withdraw(h, decay, d, value, load_vectors(entry + RANK + STATES, STATES, N1, N2), N2)
            else:
                h = advance(h, decay, d, d * value, load_vectors(entry + RANK, STATES, N1, N2), N2)
            x_at += step * x_row
            entry += step * (DIRECTIONS * ENTRY)
            delta_at += step * all_channels
    slot = (walk * slots + place).to(tl.int64) * blocks + block
    store_tiles(ends + slot * ((N1 + N2) * LANES), h, LANES, N1, N2)
    tl.store(sums + slot * LANES + tl.arange(0, LANES), total)


@triton.jit(do_not_specialize=["span", "slots"])
def chunk_carry(
    ends, sums, A, height, width, channels, span, slots,
    DIRECTIONS: tl.constexpr, IMAGE: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr, LANES: tl.constexpr, STEPS: tl.constexpr,
    ADJOINT: tl.constexpr, AHEAD: tl.constexpr,
):  # fmt: skip
    """In place, tiles (ROWS, WIDTH): chunks' last states from 0 become the states (ADJOINT: gradients of states) they start from."""
    row = tl.cdiv(channels, WIDTH) * ROWS * WIDTH
    blocks = tl.cdiv(row, LANES)
    program = tl.program_id(0)
    lanes = (program % blocks) * LANES + tl.arange(0, LANES)
    inside = lanes < row
    walk = program // blocks
    k = walk % DIRECTIONS
    pieces, _columns, backwards, _before = walk_of(k, height, width, DIRECTIONS, IMAGE, STEPS)
    chunks = tl.cdiv(pieces, span)
    first = walk.to(tl.int64) * slots
    decay = tl.load(A + k * row + lanes, mask=inside, other=0.0)
    falls = backwards != ADJOINT
    first += tl.where(falls, chunks - 1, 0)
    step = tl.where(falls, -1, 1)
    ends += first * row + lanes
    sums += first * (row // ROWS) + lanes // (ROWS * WIDTH) * WIDTH + lanes % WIDTH
    h = tl.zeros((LANES,), tl.float32)
    for i in range(0, chunks, AHEAD):  # that many at a time, for loads to wait together
        last, total = (), ()
        for j in tl.static_range(AHEAD):
            there = inside & (i + j < chunks)
            last = last + (tl.load(ends + j * step * row, mask=there, other=0.0),)  # noqa: RUF005
            total = total + (tl.load(sums + j * step * (row // ROWS), mask=there, other=0.0),)  # noqa: RUF005
        for j in tl.static_range(AHEAD):
            tl.store(ends + j * step * row, h, mask=inside & (i + j < chunks))
            h = tl.exp2(decay * total[j]) * h + last[j]
        ends += AHEAD * step * row
        sums += AHEAD * step * (row // ROWS)


# Not knowing that rows of tiles are aligned, Triton leaves a channel in a lane, instead of loading four of them into each.
@triton.jit(do_not_specialize=["span", "slots"], do_not_specialize_on_alignment=["A", "starts", "kept"])
def scan_outputs(
    x, delta, proj, dt_proj, A, D, bias, starts, y, kept,
    images, height, width, channels, span, slots,
    DIRECTIONS: tl.constexpr, IMAGE: tl.constexpr, RANK: tl.constexpr, STATES: tl.constexpr, N1: tl.constexpr, N2: tl.constexpr,
    LANES: tl.constexpr, STEPS: tl.constexpr, SOFTPLUS: tl.constexpr, SPLIT: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """y, and `kept`, the state before every piece. An image's program goes its way there and back, and adds the second y to the first."""
    TURNS: tl.constexpr = 2 if IMAGE and DIRECTIONS > 1 else 1
    WAYS: tl.constexpr = DIRECTIONS // TURNS
    ENTRY: tl.constexpr = RANK + 2 * STATES
    blocks = tl.cdiv(channels, LANES)
    program = tl.program_id(0)
    block = program % blocks
    lanes = block * LANES + tl.arange(0, LANES)
    inside = lanes < channels
    place = (program // blocks) % slots
    way = program // blocks // slots % WAYS
    batch = program // blocks // slots // WAYS
    image = batch.to(tl.int64) * height * width
    all_channels = DIRECTIONS * channels
    x_row = channels if IMAGE else all_channels
    x += lanes if IMAGE else way * channels + lanes
    y += way.to(tl.int64) * images * height * width * channels + lanes if IMAGE else way * channels + lanes
    first = pieces_before(height, width, batch.to(tl.int64), DIRECTIONS, IMAGE, STEPS)
    for turn in range(TURNS):
        tl.debug_barrier()  # where a channel has several threads, another one wrote the y that is added to
        k = way + turn * WAYS
        pieces, columns, backwards, before = walk_of(k, height, width, DIRECTIONS, IMAGE, STEPS)
        q, count = chunk_at(place, span, pieces, backwards)
        decay = load_tiles(A + (k * blocks + block) * ((N1 + N2) * LANES), LANES, N1, N2)
        weights = load_low_rank(dt_proj + k * RANK * channels, channels, lanes, inside, RANK)
        offset = tl.load(bias + k * channels + lanes, mask=inside, other=0.0)
        skip = tl.load(D + k * channels + lanes, mask=inside, other=0.0)
        if SPLIT:
            slot = ((batch * DIRECTIONS + k) * slots + place).to(tl.int64) * blocks + block
            h = load_tiles(starts + slot * ((N1 + N2) * LANES), LANES, N1, N2)
        else:
            h = zero_tiles(LANES, N1, N2)
        for i in range(count):
            start, step, steps = piece_at(q + i, pieces, height, width, columns, backwards, STEPS)
            if KEEP:
                store_tiles(kept + ((first + before + q + i) * blocks + block) * ((N1 + N2) * LANES), h, LANES, N1, N2)
            x_at = x + (image + start) * x_row
            y_at = y + (image + start) * x_row
            entry = proj + ((image + start) * DIRECTIONS + k) * ENTRY
            delta_at = delta + (image + start) * all_channels + k * channels + lanes
            for _ in range(steps):
                value = tl.load(x_at, mask=inside, other=0.0).to(tl.float32)
                d = step_size(entry, delta_at, weights, offset, inside, RANK, SOFTPLUS)
                h = advance(h, decay, d, d * value, load_vectors(entry + RANK, STATES, N1, N2), N2)
                result = skip * value + dot(load_vectors(entry + RANK + STATES, STATES, N1, N2), h, N2)
                if TURNS > 1:
                    result += tl.load(y_at, mask=inside & (turn > 0), other=0.0)
                tl.store(y_at, result.to(y.dtype.element_ty), mask=inside)
                x_at += step * x_row
                y_at += step * x_row
                entry += step * (DIRECTIONS * ENTRY)
                delta_at += step * all_channels
