// The selective scan and its gradient for a CPU, vectorised over channels; models/scan/cpp.py compiles and calls it.
//
// For one channel with input u, step delta and a state h of N values (Mamba, arXiv 2312.00752, section 3.2):
//
//     h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t          y_t = C_t . h_t + D u_t
//
// A *block* is LANES channels, one to a SIMD lane; lanes left over are zero. It proceeds in *tiles* of TILE steps, held as one vector a
// step. The loop over states, S at a time, stands outside that over a tile's steps: their h are registers, a tile stays in the first-level
// cache, N is a run-time value. A *task* is some blocks of one sequence; all of them pass a tile before the next, so that what a tile
// shares (B, C and the sums for their gradients) stays near. How work is divided depends on shapes alone, sums run in a fixed order, and
// no two tasks add to the same place: results are the same bits for any number of threads.
//
// The gradient starts from h at the start of every tile, which the forward pass keeps, and visits the tiles from last to first: it
// recomputes their states and runs the adjoint recurrence over them. A name such as dB is the gradient of the loss with respect to B.
//
// Two sources feed the same arithmetic: `Sequences`, tensors (rows, L) that are transposed on the way in, and `Walk`, one direction over an
// image with channels last, by address, delta made on the way from its low-rank factor.
//
// Vectors are GCC's and Clang's vector type, so one source serves AVX-512, AVX2, NEON and plain SSE.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>
#ifdef __SSE__
#include <immintrin.h>
#endif

namespace {

#ifdef __AVX512F__
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif
constexpr int TILE = 64;    // steps between kept states
constexpr int FORWARD = 4;  // states at a time: as many independent recurrences
constexpr int BACKWARD = 2; // fewer, since more is kept for each: the tile must fit the first-level cache

using vec = float __attribute__((vector_size(LANES * sizeof(float))));
using ivec = int32_t __attribute__((vector_size(LANES * sizeof(int32_t))));
using unaligned = float __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));
using Index = int64_t;

inline vec load(const float* p) { return *reinterpret_cast<const unaligned*>(p); }
inline void store(float* p, vec x) { *reinterpret_cast<unaligned*>(p) = x; }

inline vec load_part(const float* p, int lanes) {
    if (lanes == LANES) return load(p);
    vec x{};
    std::memcpy(&x, p, lanes * sizeof(float));
    return x;
}
inline void store_part(float* p, vec x, int lanes) {
    if (lanes == LANES) store(p, x);
    else std::memcpy(p, &x, lanes * sizeof(float));
}

// The larger of low and the smaller of x and high; NaN stays NaN.
inline vec clamp(vec x, float low, float high) {
    const vec least = vec{} + low, most = vec{} + high;
#if defined(__AVX512F__)  // these instructions return their second operand where one is NaN
    return (vec)_mm512_max_ps((__m512)least, _mm512_min_ps((__m512)most, (__m512)x));
#elif defined(__AVX2__)
    return (vec)_mm256_max_ps((__m256)least, _mm256_min_ps((__m256)most, (__m256)x));
#else
    x = x > most ? most : x;
    return x < least ? least : x;
#endif
}

// Elementary functions -------------------------------------------------------------------------------------------------------------------

constexpr float LOG2E = 1.44269504088896341f, LOG2E_REST = 1.92596299e-8f;  // their sum is log2(e)
constexpr float ROUNDER = 12582912.0f;  // 1.5 * 2^23: x + ROUNDER rounds x to an integer and holds that integer in its low bits

// 2^(f + k) for f in [-1/2, 1/2] and an integer k + ROUNDER, by a polynomial fitted to a relative error of 2e-9; exactly 1 at f = 0, where an
// error would be made again at every step of a slow decay.
inline vec power_of_two(vec f, vec k) {
    vec p = f * 0.000153526169f + 0.00133985758f;
    p = p * f + 0.00961843878f;
    p = p * f + 0.0555033349f;
    p = p * f + 0.240226477f;
    p = p * f + 0.693147182f;
    p = p * f + 1.0f;
    return (vec)((ivec)p + ((ivec)k << 23));
}

// 2^x; 0 up to x = -127, infinite from 128.
inline vec exp2(vec x) {
    x = clamp(x, -127.0f, 128.0f);
    const vec k = x + ROUNDER;
    return power_of_two(x - (k - ROUNDER), k);
}

// exp(-|x|), at least 1.6e-38; log2(e) in two parts, so that a large |x| costs no digits.
inline vec exp_minus_abs(vec x) {
    x = x > 0 ? -x : x;
    x = x < -87.0f ? vec{} - 87.0f : x;
    const vec k = x * LOG2E + ROUNDER;
    return power_of_two(x * LOG2E_REST + (x * LOG2E - (k - ROUNDER)), k);
}

// log(1 + exp(x)) = max(x, 0) + log1p(z), z = exp(-|x|), so that a small result keeps its digits; log1p(z) / z by a polynomial fitted to a
// relative error of 3.3e-8, exactly 1 at 0.
inline vec softplus(vec x) {
    const vec z = exp_minus_abs(x);
    vec p = z * 0.00536481836f - 0.0300657684f;
    p = p * z + 0.0792044968f;
    p = p * z - 0.137537991f;
    p = p * z + 0.191536534f;
    p = p * z - 0.248571633f;
    p = p * z + 0.333213226f;
    p = p * z - 0.49999648f;
    p = p * z + 1.0f;
    return (x < 0 ? vec{} : x) + z * p;
}

// 1 / (1 + exp(-x)), the derivative of softplus.
inline vec sigmoid(vec x) {
    const vec z = exp_minus_abs(x);
    return (x < 0 ? z : vec{} + 1.0f) / (z + 1.0f);
}

// Transposition --------------------------------------------------------------------------------------------------------------------------

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, ivec{__VA_ARGS__})
#endif

// Exchange the off-diagonal squares, of size W, of two rows that are W apart.
template <int W, int... LANE>
inline void exchange(vec& x, vec& y, std::integer_sequence<int, LANE...>) {
    const vec a = x, b = y;
    x = SHUFFLE(a, b, ((LANE & W) ? LANES + LANE - W : LANE)...);
    y = SHUFFLE(a, b, ((LANE & W) ? LANES + LANE : LANE + W)...);
}
template <int W>
inline void exchange_all(vec* rows) {
    for (int i = 0; i < LANES; ++i)
        if (!(i & W)) exchange<W>(rows[i], rows[i + W], std::make_integer_sequence<int, LANES>{});
}
inline void transpose(vec* rows) {
    exchange_all<1>(rows);
    exchange_all<2>(rows);
    exchange_all<4>(rows);
    if constexpr (LANES == 16) exchange_all<8>(rows);
}

// Rows (lanes, steps) into the steps of a tile; a lane left over repeats the first row.
inline void gather(vec* tile, const float* rows, Index stride, int lanes, int steps) {
    int t = 0;
    for (; t + LANES <= steps; t += LANES) {
        for (int i = 0; i < LANES; ++i) {
            const float* row = rows + (i < lanes ? i : 0) * stride + t;
            tile[t + i] = load(row);
            __builtin_prefetch(row + TILE);  // rows a power of two apart defeat the processor's own prefetching
        }
        transpose(tile + t);
    }
    for (; t < steps; ++t)
        for (int i = 0; i < LANES; ++i) tile[t][i] = rows[(i < lanes ? i : 0) * stride + t];
}

// The steps of a tile, which it destroys, into rows (lanes, steps).
inline void scatter(float* rows, Index stride, vec* tile, int lanes, int steps) {
    int t = 0;
    for (; t + LANES <= steps; t += LANES) {
        transpose(tile + t);
        for (int i = 0; i < lanes; ++i) store(rows + i * stride + t, tile[t + i]);
    }
    for (; t < steps; ++t)
        for (int i = 0; i < lanes; ++i) rows[i * stride + t] = tile[t][i];
}

// What a block holds ---------------------------------------------------------------------------------------------------------------------

struct Tile {
    vec u[TILE], raw[TILE], delta[TILE], delta_u[TILE];  // raw: delta before softplus
    vec y[TILE], dy[TILE], du[TILE], ddelta[TILE];       // du: of delta_u until the tile is closed
    vec decay[BACKWARD][TILE], carried[BACKWARD][TILE];  // exp(delta_t A), and that times h_{t-1}
};

// What a tile shares among the blocks of a task: B and C at step t and state n are B[n * by_state + t * by_step], likewise C.
struct Shared {
    const float *B, *C;
    Index by_state, by_step;
};

// Constants of a block, a vector each: A and A log2(e) of every state, D, delta_bias, and the rows of dt_proj.
struct Constants {
    vec *A, *A_log2e, *D, *bias, *dt_proj;
    static Index count(Index states, Index rank) { return 2 * states + 2 + rank; }
    Constants(vec* at, Index states) : A(at), A_log2e(A + states), D(A_log2e + states), bias(D + 1), dt_proj(bias + 1) {}
};

// The recurrences ------------------------------------------------------------------------------------------------------------------------

// S states through a tile, y_t += C_t h_t; h is that before the tile, then that after it.
template <int S>
inline void scan(Tile& tile, int steps, vec* h, const vec* A_log2e, const Shared& at, Index n) {
    vec state[S], A[S];
    const float *B = at.B + n * at.by_state, *C = at.C + n * at.by_state;
    for (int i = 0; i < S; ++i) state[i] = h[n + i], A[i] = A_log2e[n + i];
    for (int t = 0; t < steps; ++t, B += at.by_step, C += at.by_step) {
        const vec delta = tile.delta[t], delta_u = tile.delta_u[t];
        vec y = tile.y[t];
        for (int i = 0; i < S; ++i) {
            state[i] = exp2(delta * A[i]) * state[i] + delta_u * B[i * at.by_state];
            y += state[i] * C[i * at.by_state];
        }
        tile.y[t] = y;
    }
    for (int i = 0; i < S; ++i) h[n + i] = state[i];
}

// Sums over the lanes are taken later, over all blocks of the task at once: here they stay vectors, (states, TILE).
struct Sums {
    vec *B, *C;
};

// S states through a tile and back: dh_t = C_t dy_t + exp(delta_{t+1} A) dh_{t+1}, where `dh` is that last term for the last step.
template <int S>
inline void adjoint(Tile& tile, int steps, const vec* h, vec* dh, vec* dA, const Constants& of, const Shared& at, const Sums& sums, Index n) {
    const float *B = at.B + n * at.by_state, *C = at.C + n * at.by_state;
    vec *dB = sums.B + n * TILE, *dC = sums.C + n * TILE;
    vec state[S], A[S], dA_tile[S];
    for (int i = 0; i < S; ++i) state[i] = h[n + i], A[i] = of.A_log2e[n + i];
    for (int t = 0; t < steps; ++t)
        for (int i = 0; i < S; ++i) {
            const vec decay = exp2(tile.delta[t] * A[i]), carried = decay * state[i];
            state[i] = tile.delta_u[t] * B[i * at.by_state + t * at.by_step] + carried;
            tile.decay[i][t] = decay;
            tile.carried[i][t] = carried;
            dC[i * TILE + t] += tile.dy[t] * state[i];
        }
    for (int i = 0; i < S; ++i) state[i] = dh[n + i], A[i] = of.A[n + i], dA_tile[i] = vec{};
    for (int t = steps - 1; t >= 0; --t) {
        vec ddelta = tile.ddelta[t], du = tile.du[t];
        for (int i = 0; i < S; ++i) {
            const vec total = tile.dy[t] * C[i * at.by_state + t * at.by_step] + state[i];
            const vec exponent = total * tile.carried[i][t];
            dA_tile[i] += exponent * tile.delta[t];
            ddelta += exponent * A[i];
            du += total * B[i * at.by_state + t * at.by_step];
            dB[i * TILE + t] += total * tile.delta_u[t];
            state[i] = total * tile.decay[i][t];
        }
        tile.ddelta[t] = ddelta;
        tile.du[t] = du;
    }
    for (int i = 0; i < S; ++i) dh[n + i] = state[i], dA[n + i] += dA_tile[i];
}

// delta and delta u from what was loaded.
inline void prepare(Tile& tile, int steps, bool with_softplus) {
    for (int t = 0; t < steps; ++t) {
        tile.delta[t] = with_softplus ? softplus(tile.raw[t]) : tile.raw[t];
        tile.delta_u[t] = tile.delta[t] * tile.u[t];
    }
}

// du, ddelta and the gradients of D and delta_bias from those of delta_u and of what reaches delta through the decay.
inline void close(Tile& tile, int steps, bool with_softplus, const Constants& of, const Constants& total) {
    vec dD{}, dbias{};
    for (int t = 0; t < steps; ++t) {
        vec ddelta = tile.du[t] * tile.u[t] + tile.ddelta[t];
        if (with_softplus) ddelta *= sigmoid(tile.raw[t]);
        tile.ddelta[t] = ddelta;
        tile.du[t] = tile.du[t] * tile.delta[t] + *of.D * tile.dy[t];
        dD += tile.dy[t] * tile.u[t];
        dbias += ddelta;
    }
    *total.D += dD;
    *total.bias += dbias;
}

// Sums over lanes: (rows, TILE) vectors, which it destroys, to (rows, TILE) numbers.
inline void reduce(float* to, vec* from, Index rows) {
    for (Index i = 0; i < rows * TILE; i += LANES) {
        transpose(from + i);
        vec sum = from[i];
        for (int j = 1; j < LANES; ++j) sum += from[i + j];
        store(to + i, sum);
    }
}
}  // namespace

// The sources ----------------------------------------------------------------------------------------------------------------------------

// As models/scan/cpp.py lays them out; float32, contiguous, shapes as in models/scan/contract.py. D and bias may be null.
struct Scan {
    const float *u, *delta, *A, *B, *C, *D, *bias;
    Index batch, groups, width, states, length;
    int32_t softplus, threads;
};
// du, ddelta like u; constants (batch, D, N + 2): of A, D, delta_bias; B, C (parts, batch, G, N, L).
struct ScanGradients {
    const float* dy;
    float *du, *ddelta, *constants, *B, *C;
    Index parts;
};
// x (B, P, C), P = H W; proj (B, P, K, R + 2N); dt_proj (K, C, R); A (K C, N); D, bias (K C).
struct Image {
    const float *x, *proj, *dt_proj, *A, *D, *bias;
    Index batch, height, width, channels, directions, states, rank;
    int32_t threads;
};
// dx (pairs, B, P, C), to be summed over pairs; proj (parts, B, P, K, R + 2N); constants (B, K C, N + 2 + R): of A, D, delta_bias, dt_proj.
struct ImageGradients {
    const float* dy;
    float *dx, *proj, *constants;
    Index parts;
};

namespace {

struct Block {
    Index first;  // channel
    int lanes;
};
inline Index blocks_of(Index width) { return (width + LANES - 1) / LANES; }
inline Block block_of(Index i, Index width) { return {i * LANES, int(std::min<Index>(LANES, width - i * LANES))}; }

inline vec column(const float* p, Index stride, int lanes) {
    vec x{};
    for (int i = 0; i < lanes; ++i) x[i] = p[i * stride];
    return x;
}

// The constants of `lanes` channels from row `row` on of A (rows, N), D, bias (rows) and dt_proj (rows, R).
template <class Problem>
void read_constants(const Constants& to, const Problem& from, const float* dt_proj, Index rank, Index row, int lanes) {
    const Index N = from.states;
    for (Index n = 0; n < N; ++n) {
        to.A[n] = column(from.A + row * N + n, N, lanes);
        to.A_log2e[n] = to.A[n] * LOG2E;
    }
    *to.D = from.D ? load_part(from.D + row, lanes) : vec{};
    *to.bias = from.bias ? load_part(from.bias + row, lanes) : vec{};
    for (Index r = 0; r < rank; ++r) to.dt_proj[r] = column(dt_proj + row * rank + r, rank, lanes);
}

// One B and C, and the channels that share them.
struct Sequences {
    const Scan& scan;
    const ScanGradients* grad;
    Index sequence;  // image * groups + group
    Index start = 0;
    int steps = 0;
    Shared shared{};

    Sequences(const Scan& of, Index which, const ScanGradients* to = nullptr) : scan(of), grad(to), sequence(which) {}
    Index length() const { return scan.length; }
    Index width() const { return scan.width; }
    Index states() const { return scan.states; }
    Index rank() const { return 0; }
    bool with_softplus() const { return scan.softplus; }
    Index row(const Block& block) const { return sequence * scan.width + block.first; }
    Index offset(const Block& block) const { return row(block) * scan.length + start; }

    void begin(Index tile) {
        start = tile * TILE;
        steps = int(std::min<Index>(TILE, scan.length - start));
        const Index at = sequence * scan.states * scan.length + start;
        shared = {scan.B + at, scan.C + at, scan.length, 1};
    }
    void constants(const Constants& to, const Block& block) const {
        read_constants(to, scan, nullptr, 0, sequence % scan.groups * scan.width + block.first, block.lanes);
    }
    void load(Tile& tile, const Constants& of, const Block& block) const {
        gather(tile.u, scan.u + offset(block), scan.length, block.lanes, steps);
        gather(tile.raw, scan.delta + offset(block), scan.length, block.lanes, steps);
        for (int t = 0; t < steps; ++t) tile.raw[t] += *of.bias;
    }
    void store_y(float* y, Tile& tile, const Block& block) const {
        scatter(y + offset(block), scan.length, tile.y, block.lanes, steps);
    }
    void load_dy(Tile& tile, const Block& block) const {
        gather(tile.dy, grad->dy + offset(block), scan.length, block.lanes, steps);
        vec mask{};
        for (int i = 0; i < block.lanes; ++i) mask[i] = 1.0f;
        if (block.lanes < LANES)
            for (int t = 0; t < steps; ++t) tile.dy[t] *= mask;
    }
    void store_gradients(Tile& tile, const Block& block, vec*, const Constants&, const Constants&) const {
        scatter(grad->du + offset(block), scan.length, tile.du, block.lanes, steps);
        scatter(grad->ddelta + offset(block), scan.length, tile.ddelta, block.lanes, steps);
    }
    void store_sums(const float* sums, Index part) const {
        const Index N = scan.states, at = (part * scan.batch * scan.groups + sequence) * N * scan.length + start;
        for (Index n = 0; n < N; ++n) {
            std::memcpy(grad->B + at + n * scan.length, sums + n * TILE, steps * sizeof(float));
            std::memcpy(grad->C + at + n * scan.length, sums + (N + n) * TILE, steps * sizeof(float));
        }
    }
    float* constants_out(const Block& block) const { return grad->constants + row(block) * (scan.states + 2); }
};

// One direction over one image: direction k of models/scan/directions.py.
struct Walk {
    const Image& image;
    const ImageGradients* grad;
    Index which, k;
    bool columns, reversed;
    Index start = 0;
    int steps = 0;
    Index at[TILE];          // the pixel of each step
    std::vector<float> rows;  // proj at these pixels, (TILE, R + 2N)
    Shared shared{};

    Walk(const Image& of, Index image_number, Index direction, const ImageGradients* to = nullptr)
        : image(of), grad(to), which(image_number), k(direction), columns(of.directions == 4 && direction % 2 == 1),
          reversed(of.directions > 1 && direction >= of.directions / 2), rows(TILE * entries()) {}
    Index length() const { return image.height * image.width; }
    Index width() const { return image.channels; }
    Index states() const { return image.states; }
    Index rank() const { return image.rank; }
    Index entries() const { return image.rank + 2 * image.states; }
    bool with_softplus() const { return true; }
    Index row(const Block& block) const { return k * image.channels + block.first; }
    Index pixels(Index t) const { return which * length() + at[t]; }
    float* pixel(float* of, Index t, const Block& block) const { return of + pixels(t) * image.channels + block.first; }
    const float* pixel(const float* of, Index t, const Block& block) const { return of + pixels(t) * image.channels + block.first; }

    void begin(Index tile) {
        start = tile * TILE;
        steps = int(std::min<Index>(TILE, length() - start));
        Index i = reversed ? length() - 1 - start : start;
        Index line = columns ? i / image.height : 0, place = columns ? i % image.height : i;
        for (int t = 0; t < steps; ++t) {
            at[t] = columns ? place * image.width + line : place;
            if (!reversed) { if (columns && ++place == image.height) place = 0, ++line; else if (!columns) ++place; }
            else { if (columns && --place < 0) place = image.height - 1, --line; else if (!columns) --place; }
        }
        const Index stride = image.directions * entries();
        for (int t = 0; t < steps; ++t)
            std::memcpy(rows.data() + t * entries(), image.proj + pixels(t) * stride + k * entries(), entries() * sizeof(float));
        shared = {rows.data() + rank(), rows.data() + rank() + states(), 1, entries()};
    }
    void constants(const Constants& to, const Block& block) const { read_constants(to, image, image.dt_proj, rank(), row(block), block.lanes); }
    void load(Tile& tile, const Constants& of, const Block& block) const {
        for (int t = 0; t < steps; ++t) {
            tile.u[t] = load_part(pixel(image.x, t, block), block.lanes);
            const float* r = rows.data() + t * entries();
            vec raw = *of.bias;
            for (Index i = 0; i < rank(); ++i) raw += of.dt_proj[i] * r[i];
            tile.raw[t] = raw;
        }
    }
    // The second direction of a pair adds to what the first has stored.
    void put(float* to, const vec* values, const Block& block) const {
        for (int t = 0; t < steps; ++t) {
            float* p = pixel(to, t, block);
            store_part(p, reversed ? load_part(p, block.lanes) + values[t] : values[t], block.lanes);
        }
    }
    Index pair_offset() const { return columns ? image.batch * length() * image.channels : 0; }
    void store_y(float* y, Tile& tile, const Block& block) const { put(y + pair_offset(), tile.y, block); }
    void load_dy(Tile& tile, const Block& block) const {
        for (int t = 0; t < steps; ++t) tile.dy[t] = load_part(pixel(grad->dy, t, block), block.lanes);
    }
    void store_gradients(Tile& tile, const Block& block, vec* sums, const Constants& of, const Constants& total) const {
        put(grad->dx + pair_offset(), tile.du, block);
        for (Index r = 0; r < rank(); ++r) {
            vec ddt_proj{};
            for (int t = 0; t < steps; ++t) {
                sums[r * TILE + t] += tile.ddelta[t] * of.dt_proj[r];
                ddt_proj += tile.ddelta[t] * rows[t * entries() + r];
            }
            total.dt_proj[r] += ddt_proj;
        }
    }
    void store_sums(const float* sums, Index part) const {
        float* to = grad->proj + part * image.batch * length() * image.directions * entries();
        for (int t = 0; t < steps; ++t)
            for (Index j = 0; j < entries(); ++j) to[(pixels(t) * image.directions + k) * entries() + j] = sums[j * TILE + t];
    }
    float* constants_out(const Block& block) const {
        return grad->constants + (which * image.directions * image.channels + row(block)) * (states() + 2 + rank());
    }
};

// Tasks ----------------------------------------------------------------------------------------------------------------------------------

using Vectors = std::vector<vec>;

// The blocks first ... last - 1 of a source; h at the starts of tiles into `kept` (tiles, blocks, N, LANES), unless it is null.
template <class Source>
void forward_task(Source source, Index first, Index last, float* y, float* kept) {
    const Index N = source.states(), count = Constants::count(N, source.rank()), blocks = last - first, all = blocks_of(source.width());
    Vectors constants(blocks * count), states(blocks * N);
    auto tile = std::make_unique<Tile>();
    for (Index b = 0; b < blocks; ++b) source.constants({&constants[b * count], N}, block_of(first + b, source.width()));
    for (Index i = 0; i * TILE < source.length(); ++i) {
        source.begin(i);
        for (Index b = 0; b < blocks; ++b) {
            const Block block = block_of(first + b, source.width());
            const Constants of(&constants[b * count], N);
            vec* h = &states[b * N];
            if (kept) std::memcpy(kept + (i * all + first + b) * N * LANES, h, N * sizeof(vec));
            source.load(*tile, of, block);
            prepare(*tile, source.steps, source.with_softplus());
            std::fill_n(tile->y, source.steps, vec{});
            Index n = 0;
            for (; n + FORWARD <= N; n += FORWARD) scan<FORWARD>(*tile, source.steps, h, of.A_log2e, source.shared, n);
            for (; n + 2 <= N; n += 2) scan<2>(*tile, source.steps, h, of.A_log2e, source.shared, n);
            for (; n < N; ++n) scan<1>(*tile, source.steps, h, of.A_log2e, source.shared, n);
            for (int t = 0; t < source.steps; ++t) tile->y[t] += *of.D * tile->u[t];  // last: a large D u must not round the sum over states
            source.store_y(y, *tile, block);
        }
    }
}

template <class Source>
void backward_task(Source source, Index first, Index last, Index part, const float* kept) {
    const Index N = source.states(), R = source.rank(), count = Constants::count(N, R), blocks = last - first, all = blocks_of(source.width());
    Vectors constants(blocks * count), totals(blocks * count), adjoints(blocks * N), h(N), sums((R + 2 * N) * TILE);
    std::vector<float> reduced((R + 2 * N) * TILE);
    auto tile = std::make_unique<Tile>();
    for (Index b = 0; b < blocks; ++b) source.constants({&constants[b * count], N}, block_of(first + b, source.width()));
    for (Index i = (source.length() - 1) / TILE; i >= 0; --i) {
        source.begin(i);
        std::fill(sums.begin(), sums.end(), vec{});
        const Sums shared{&sums[R * TILE], &sums[(R + N) * TILE]};
        for (Index b = 0; b < blocks; ++b) {
            const Block block = block_of(first + b, source.width());
            const Constants of(&constants[b * count], N), total(&totals[b * count], N);
            std::memcpy(h.data(), kept + (i * all + first + b) * N * LANES, N * sizeof(vec));
            source.load(*tile, of, block);
            source.load_dy(*tile, block);
            prepare(*tile, source.steps, source.with_softplus());
            std::fill_n(tile->du, source.steps, vec{});
            std::fill_n(tile->ddelta, source.steps, vec{});
            vec* dh = &adjoints[b * N];
            Index n = 0;
            for (; n + BACKWARD <= N; n += BACKWARD) adjoint<BACKWARD>(*tile, source.steps, h.data(), dh, total.A, of, source.shared, shared, n);
            for (; n < N; ++n) adjoint<1>(*tile, source.steps, h.data(), dh, total.A, of, source.shared, shared, n);
            close(*tile, source.steps, source.with_softplus(), of, total);
            source.store_gradients(*tile, block, sums.data(), of, total);
        }
        reduce(reduced.data(), sums.data(), R + 2 * N);
        source.store_sums(reduced.data(), part);
    }
    for (Index b = 0; b < blocks; ++b) {
        const Block block = block_of(first + b, source.width());
        const Constants total(&totals[b * count], N);
        float* to = source.constants_out(block);
        for (int lane = 0; lane < block.lanes; ++lane) {
            for (Index n = 0; n < N; ++n) *to++ = total.A[n][lane];
            *to++ = (*total.D)[lane];
            *to++ = (*total.bias)[lane];
            for (Index r = 0; r < R; ++r) *to++ = total.dt_proj[r][lane];
        }
    }
}

// Runs task(0 ... count - 1); tiny numbers count as zero meanwhile, since arithmetic on subnormal ones is slow.
template <class Task>
void run(Index count, int threads, const Task& task) {
#pragma omp parallel num_threads(int(std::min<Index>(threads, count))) if (threads > 1 && count > 1)
    {
#ifdef __SSE__
        const unsigned before = _mm_getcsr();
        _mm_setcsr(before | 0x8040);
#endif
#pragma omp for schedule(dynamic, 1)
        for (Index i = 0; i < count; ++i) task(i);
#ifdef __SSE__
        _mm_setcsr(before);
#endif
    }
}

// Part i of n of some blocks: its first, or the one after the last of part i - 1.
inline Index cut(Index blocks, Index i, Index n) { return blocks * i / n; }

constexpr Index IMAGE_TASKS = 16, MOST_BLOCKS = 8;  // of the forward pass over an image: a task reads proj once for all its blocks
}  // namespace

// The C interface ------------------------------------------------------------------------------------------------------------------------

extern "C" {

int scan_lanes() { return LANES; }
int scan_tile() { return TILE; }

void scan_forward(const Scan* scan, float* y, float* kept) {
    const Index blocks = blocks_of(scan->width), tiles = (scan->length + TILE - 1) / TILE, size = tiles * blocks * scan->states * LANES;
    run(scan->batch * scan->groups * blocks, scan->threads, [&](Index task) {
        const Index sequence = task / blocks, block = task % blocks;
        forward_task(Sequences(*scan, sequence), block, block + 1, y, kept ? kept + sequence * size : nullptr);
    });
}

void scan_backward(const Scan* scan, const float* kept, const ScanGradients* grad) {
    const Index blocks = blocks_of(scan->width), tiles = (scan->length + TILE - 1) / TILE, size = tiles * blocks * scan->states * LANES;
    run(scan->batch * scan->groups * grad->parts, scan->threads, [&](Index task) {
        const Index sequence = task / grad->parts, part = task % grad->parts;
        backward_task(Sequences(*scan, sequence, grad), cut(blocks, part, grad->parts), cut(blocks, part + 1, grad->parts), part,
                      kept + sequence * size);
    });
}

// y (pairs, B, P, C), to be summed over pairs: rows with rows reversed, columns with columns reversed.
void image_forward(const Image* image, float* y, float* kept) {
    const Index K = image->directions, pairs = K == 4 ? 2 : 1, blocks = blocks_of(image->channels);
    const Index tiles = (image->height * image->width + TILE - 1) / TILE, size = tiles * blocks * image->states * LANES;
    const Index group = std::max<Index>(1, std::min(MOST_BLOCKS, image->batch * pairs * blocks / IMAGE_TASKS));
    const Index groups = (blocks + group - 1) / group;
    run(image->batch * pairs * groups, image->threads, [&](Index task) {
        const Index which = task / (pairs * groups), pair = task / groups % pairs, part = task % groups;
        for (Index k = pair; k < K; k += std::max<Index>(1, K / 2))
            forward_task(Walk(*image, which, k), cut(blocks, part, groups), cut(blocks, part + 1, groups), y,
                         kept ? kept + (which * K + k) * size : nullptr);
    });
}

void image_backward(const Image* image, const float* kept, const ImageGradients* grad) {
    const Index K = image->directions, pairs = K == 4 ? 2 : 1, blocks = blocks_of(image->channels);
    const Index tiles = (image->height * image->width + TILE - 1) / TILE, size = tiles * blocks * image->states * LANES;
    run(image->batch * pairs * grad->parts, image->threads, [&](Index task) {
        const Index which = task / (pairs * grad->parts), pair = task / grad->parts % pairs, part = task % grad->parts;
        for (Index k = pair; k < K; k += std::max<Index>(1, K / 2))
            backward_task(Walk(*image, which, k, grad), cut(blocks, part, grad->parts), cut(blocks, part + 1, grad->parts), part,
                          kept + (which * K + k) * size);
    });
}

// Computes 2^x `count` vectors a thread from registers, to tell how fast this processor can; the sum keeps it from being left out.
float scan_exp2(Index count, int threads) {
    std::vector<float> sums(threads);
    run(threads, threads, [&](Index thread) {
        vec x[8], sum{};
        for (int i = 0; i < 8; ++i) x[i] = vec{} - 0.01f * float(i + 1 + thread);
        for (Index done = 0; done < count; done += 8)
            for (int i = 0; i < 8; ++i) x[i] -= 1e-6f, sum += exp2(x[i]);
        sums[thread] = sum[0];
    });
    float total = 0;
    for (float sum : sums) total += sum;
    return total;
}

}  // extern "C"
