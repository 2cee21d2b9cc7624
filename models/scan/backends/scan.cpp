// The selective scan and its gradient for a CPU, vectorised over channels; models/scan/backends/cpp.py compiles and calls it.
//
// For one channel with input u, step delta and a state h of N values (Mamba, arXiv 2312.00752, section 3.2):
//
//     h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t          y_t = C_t . h_t + D u_t
//
// A *block* is LANES channels, one to a SIMD lane; lanes left over are zero. It proceeds in *tiles* of TILE steps, held as one vector a
// step. The loop over states stands outside that over a tile's steps: h is a register, a tile stays in the first-level cache, N is a run-time
// value. A *task* is some blocks of one sequence; all of them pass a tile before the next, so that what a tile
// shares (B, C and the sums for their gradients) stays near. How sums are divided depends on shapes alone, they run in a fixed order, and
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
#include <cmath>
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
constexpr int TILE = 64;     // steps between kept states
constexpr int ROW = TILE + 11;  // how far rows of a tile are apart: at multiples of 4 KB a load would wait for stores to other rows
constexpr int GROUP = 4;     // vectors that elementary functions take at a time
constexpr int FORWARD = LANES == 16 ? 2 : 1;  // states that the scan takes at a time: as many as registers hold
constexpr int BACKWARD = 2;  // states that the gradient takes at a time: what a tile keeps for them must fit the first-level cache

using vec = float __attribute__((vector_size(LANES * sizeof(float))));
using ivec = int32_t __attribute__((vector_size(LANES * sizeof(int32_t))));
using unaligned = float __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));
using Index = int64_t;

inline vec load(const float* p) { return *reinterpret_cast<const unaligned*>(p); }
inline void store(float* p, vec x) { *reinterpret_cast<unaligned*>(p) = x; }

// The first `lanes` values at p, and zeros.
inline vec load_part(const float* p, int lanes) {
    if (lanes == LANES) return load(p);
#ifdef __AVX512F__
    return (vec)_mm512_maskz_loadu_ps(__mmask16((1u << lanes) - 1), p);
#else
    vec x{};
    std::memcpy(&x, p, lanes * sizeof(float));
    return x;
#endif
}
inline void store_part(float* p, vec x, int lanes) {
    if (lanes == LANES) return store(p, x);
#ifdef __AVX512F__
    _mm512_mask_storeu_ps(p, __mmask16((1u << lanes) - 1), (__m512)x);
#else
    std::memcpy(p, &x, lanes * sizeof(float));
#endif
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

inline vec absolute(vec x) { return (vec)((ivec)x & 0x7fffffff); }

// Elementary functions -------------------------------------------------------------------------------------------------------------------

constexpr float LOG2E = 1.44269504088896341f, LOG2E_REST = 1.92596299e-8f;  // their sum is log2(e)
constexpr float ROUNDER = 12582912.0f;  // 1.5 * 2^23: x + ROUNDER rounds x to an integer and holds that integer in its low bits

// All of them take several vectors and go step by step for all: a processor's window is too short to find as much to do at once by itself.

// 2^(f + k) for f in [-1/2, 1/2] and an integer k + ROUNDER, into f, by a polynomial fitted to a relative error of 2e-9; exactly 1 at f = 0,
// where an error would be made again at every step of a slow decay.
constexpr float TWO_TO[] = {0.000153526169f, 0.00133985758f, 0.00961843878f, 0.0555033349f, 0.240226477f, 0.693147182f, 1.0f};

template <int M>
inline void power_of_two(vec (&f)[M], const vec (&k)[M]) {
    vec p[M];
    for (int i = 0; i < M; ++i) p[i] = f[i] * TWO_TO[0] + TWO_TO[1];
    for (int c = 2; c < 7; ++c)
        for (int i = 0; i < M; ++i) p[i] = p[i] * f[i] + TWO_TO[c];
    for (int i = 0; i < M; ++i) f[i] = (vec)((ivec)p[i] + ((ivec)k[i] << 23));
}

// 2^(x y) into x; 0 up to x y = -127, infinite from 128. BOUNDED: all |x y| are known to be less than REACH.
constexpr float REACH = 126.0f;

template <bool BOUNDED, int M>
inline void exp2_of_product(vec (&x)[M], const vec (&y)[M]) {
    vec k[M];
    if constexpr (BOUNDED) {
        for (int i = 0; i < M; ++i) k[i] = x[i] * y[i] + ROUNDER;
        for (int i = 0; i < M; ++i) x[i] = x[i] * y[i] - (k[i] - ROUNDER);
    } else {
        for (int i = 0; i < M; ++i) x[i] = clamp(x[i] * y[i], -127.0f, 128.0f);
        for (int i = 0; i < M; ++i) k[i] = x[i] + ROUNDER;
        for (int i = 0; i < M; ++i) x[i] -= k[i] - ROUNDER;
    }
    power_of_two(x, k);
}

// exp(-|x|), at least 1.6e-38; log2(e) in two parts, so that a large |x| costs no digits.
template <int M>
inline void exp_minus_abs(vec (&x)[M]) {
    vec k[M];
    for (int i = 0; i < M; ++i) x[i] = clamp(-absolute(x[i]), -87.0f, 0.0f);
    for (int i = 0; i < M; ++i) k[i] = x[i] * LOG2E + ROUNDER;
    for (int i = 0; i < M; ++i) x[i] = x[i] * LOG2E_REST + (x[i] * LOG2E - (k[i] - ROUNDER));
    power_of_two(x, k);
}

// log(1 + exp(x)) = max(x, 0) + log1p(z), z = exp(-|x|), so that a small result keeps its digits; log1p(z) / z by a polynomial fitted to a
// relative error of 3.3e-8, exactly 1 at 0.
constexpr float LOG1P[] = {0.00536481836f, -0.0300657684f, 0.0792044968f, -0.137537991f, 0.191536534f,
                           -0.248571633f,  0.333213226f,   -0.49999648f,  1.0f};

template <int M>
inline void softplus(vec (&x)[M], vec (&z)[M]) {  // z: exp(-|x|), for the derivative
    vec p[M];
    for (int i = 0; i < M; ++i) z[i] = x[i];
    exp_minus_abs(z);
    for (int i = 0; i < M; ++i) p[i] = z[i] * LOG1P[0] + LOG1P[1];
    for (int c = 2; c < 9; ++c)
        for (int i = 0; i < M; ++i) p[i] = p[i] * z[i] + LOG1P[c];
    for (int i = 0; i < M; ++i) x[i] = clamp(x[i], 0.0f, INFINITY) + z[i] * p[i];
}

// 1 / x for x in [1, 2].
inline vec reciprocal(vec x) {
#ifdef __AVX512F__  // a division of sixteen takes as long as thirty-two multiply-adds
    const vec about = (vec)_mm512_rcp14_ps((__m512)x);
    return about * (2.0f - x * about);
#else
    return 1.0f / x;
#endif
}

// 1 / (1 + exp(-x)), the derivative of softplus, into z, which is exp(-|x|).
template <int M>
inline void sigmoid(vec (&z)[M], const vec (&x)[M]) {
    for (int i = 0; i < M; ++i) z[i] = (x[i] < 0 ? z[i] : vec{} + 1.0f) * reciprocal(z[i] + 1.0f);
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

// What transpose(rows) would leave, added up: lane i of the result is the sum over lanes of row i. Half of transposition's work.
template <int W = 1>
inline vec sum_of_lanes(vec* rows) {
    constexpr int COUNT = LANES / W;
    for (int i = 0; i < COUNT; i += 2) {
        exchange<W>(rows[i], rows[i + 1], std::make_integer_sequence<int, LANES>{});
        rows[i / 2] = rows[i] + rows[i + 1];
    }
    if constexpr (COUNT > 2) return sum_of_lanes<2 * W>(rows);
    return rows[0];
}

// Rows (lanes, steps) into the steps of a tile; a lane left over repeats the first row. The tile to be read next is `ahead` of this one.
inline void gather(vec* tile, const float* rows, Index stride, int lanes, int steps, int ahead) {
    int t = 0;
    for (; t + LANES <= steps; t += LANES) {
        for (int i = 0; i < LANES; ++i) {
            const float* row = rows + (i < lanes ? i : 0) * stride + t;
            tile[t + i] = load(row);
            __builtin_prefetch(row + ahead);  // rows a power of two apart defeat the processor's own prefetching
        }
        transpose(tile + t);
    }
    for (; t < steps; ++t)
        for (int i = 0; i < LANES; ++i) tile[t][i] = rows[(i < lanes ? i : 0) * stride + t];
}

// The steps of a tile, which it destroys, into rows (lanes, steps); the tile to be written next is `ahead` of this one.
inline void scatter(float* rows, Index stride, vec* tile, int lanes, int steps, int ahead) {
    int t = 0;
    for (; t + LANES <= steps; t += LANES) {
        transpose(tile + t);
        for (int i = 0; i < lanes; ++i) {
            store(rows + i * stride + t, tile[t + i]);
            __builtin_prefetch(rows + i * stride + t + ahead, 1);
        }
    }
    for (; t < steps; ++t)
        for (int i = 0; i < lanes; ++i) rows[i * stride + t] = tile[t][i];
}

// What a block holds ---------------------------------------------------------------------------------------------------------------------

struct Tile {
    vec u[ROW], raw[ROW], delta[ROW], delta_u[ROW];    // raw: delta before softplus; for the gradient its derivative
    vec y[ROW], dy[ROW], du[ROW], ddelta[ROW];         // du: of delta_u until the tile is closed
    vec decay[BACKWARD][ROW], carried[BACKWARD][ROW];  // exp(delta_t A), and that times h_{t-1}
};

// What a tile shares among the blocks of a task: B and C at state n and step t are B[n * by_state + t], likewise C.
struct Shared {
    const float *B, *C;
    Index by_state;
};

// Constants of a block, a vector each: A and A log2(e) of every state, D, delta_bias, the largest |A log2(e)|, the rows of dt_proj.
struct Constants {
    vec *A, *A_log2e, *D, *bias, *reach, *dt_proj;
    static Index count(Index states, Index rank) { return 2 * states + 3 + rank; }
    Constants(vec* at, Index states) : A(at), A_log2e(A + states), D(A_log2e + states), bias(D + 1), reach(bias + 1), dt_proj(reach + 1) {}
};

// The recurrences ------------------------------------------------------------------------------------------------------------------------

// S states through M steps, y_t += C_t h_t; h is that before the steps, then that after them.
template <bool BOUNDED, int S, int M>
inline void scan_steps(Tile& tile, int t, vec (&h)[S], const vec* A_log2e, const float* B, const float* C, Index by_state) {
    vec decay[S * M], A[S * M];
    for (int i = 0; i < S * M; ++i) decay[i] = tile.delta[t + i / S], A[i] = A_log2e[i % S];
    exp2_of_product<BOUNDED>(decay, A);
    for (int i = 0; i < M; ++i) {
        vec y = tile.y[t + i];
        for (int s = 0; s < S; ++s) {
            h[s] = decay[i * S + s] * h[s] + tile.delta_u[t + i] * B[s * by_state + t + i];
            y += h[s] * C[s * by_state + t + i];
        }
        tile.y[t + i] = y;
    }
}

template <bool BOUNDED, int S>
inline void scan_states(Tile& tile, int steps, vec* h, const vec* A_log2e, const Shared& at, Index n) {
    const float *B = at.B + n * at.by_state, *C = at.C + n * at.by_state;
    vec state[S], A[S];
    for (int s = 0; s < S; ++s) state[s] = h[n + s], A[s] = A_log2e[n + s];
    int t = 0;
    for (; t + GROUP <= steps; t += GROUP) scan_steps<BOUNDED, S, GROUP>(tile, t, state, A, B, C, at.by_state);
    for (; t < steps; ++t) scan_steps<BOUNDED, S, 1>(tile, t, state, A, B, C, at.by_state);
    for (int s = 0; s < S; ++s) h[n + s] = state[s];
}

// All states through a tile.
template <bool BOUNDED>
inline void scan(Tile& tile, int steps, vec* h, const vec* A_log2e, const Shared& at, Index N) {
    Index n = 0;
    for (; n + FORWARD <= N; n += FORWARD) scan_states<BOUNDED, FORWARD>(tile, steps, h, A_log2e, at, n);
    for (; n < N; ++n) scan_states<BOUNDED, 1>(tile, steps, h, A_log2e, at, n);
}

// Sums over the lanes are taken in two parts: at once over FOLD steps, whose vectors become one, and at the end of a tile, over all blocks of
// the task, the rest (reduce). A vector a step would not fit the first-level cache, and be read and written for every state and block.
constexpr int FOLD = 4, FOLDED = TILE / FOLD + 1;
struct Sums {
    vec *B, *C;  // (states, FOLDED)
};

// Lane i of the result holds a part of the sum over lanes of row i % FOLD.
inline vec fold(vec (&rows)[FOLD]) {
    for (int i = 0; i < FOLD; i += 2) {
        exchange<1>(rows[i], rows[i + 1], std::make_integer_sequence<int, LANES>{});
        rows[i / 2] = rows[i] + rows[i + 1];
    }
    exchange<2>(rows[0], rows[1], std::make_integer_sequence<int, LANES>{});
    return rows[0] + rows[1];
}

// The states after `many` <= FOLD steps from t on, and what the way back needs of them.
template <bool BOUNDED, int S>
inline __attribute__((always_inline)) void adjoint_there(Tile& tile, int t, int many, vec (&state)[S], const vec* A_log2e, const float* B,
                                                         Index by_state, vec* dC) {
    vec sum[S][FOLD]{};
    for (int j = 0; j < many; j += 2) {  // an odd last step computes one beyond, which is not used
        vec decay[2 * S], rate[2 * S];
        for (int i = 0; i < 2 * S; ++i) decay[i] = tile.delta[t + j + i / S], rate[i] = A_log2e[i % S];
        exp2_of_product<BOUNDED>(decay, rate);
        for (int m = 0; m < 2 && j + m < many; ++m)
            for (int i = 0; i < S; ++i) {
                const vec carried = decay[m * S + i] * state[i];
                state[i] = tile.delta_u[t + j + m] * B[i * by_state + t + j + m] + carried;
                tile.decay[i][t + j + m] = decay[m * S + i];
                tile.carried[i][t + j + m] = carried;
                sum[i][j + m] = tile.dy[t + j + m] * state[i];
            }
    }
    for (int i = 0; i < S; ++i) dC[i * FOLDED + t / FOLD] += fold(sum[i]);
}

// The same steps backwards; `state` is the adjoint's.
template <int S>
inline __attribute__((always_inline)) void adjoint_back(Tile& tile, int t, int many, vec (&state)[S], const vec* A, vec (&dA)[S], const float* B,
                                                        const float* C, Index by_state, vec* dB) {
    vec sum[S][FOLD]{};
    for (int j = many - 1; j >= 0; --j) {
        vec ddelta = tile.ddelta[t + j], du = tile.du[t + j];
        for (int i = 0; i < S; ++i) {
            const vec total = tile.dy[t + j] * C[i * by_state + t + j] + state[i];
            const vec exponent = total * tile.carried[i][t + j];
            dA[i] += exponent * tile.delta[t + j];
            ddelta += exponent * A[i];
            du += total * B[i * by_state + t + j];
            sum[i][j] = total * tile.delta_u[t + j];
            state[i] = total * tile.decay[i][t + j];
        }
        tile.ddelta[t + j] = ddelta;
        tile.du[t + j] = du;
    }
    for (int i = 0; i < S; ++i) dB[i * FOLDED + t / FOLD] += fold(sum[i]);
}

// S states through a tile and back: dh_t = C_t dy_t + exp(delta_{t+1} A) dh_{t+1}, where `dh` is that last term for the last step.
template <bool BOUNDED, int S>
inline void adjoint(Tile& tile, int steps, const vec* h, vec* dh, vec* dA, const Constants& of, const Shared& at, const Sums& sums, Index n) {
    const float *B = at.B + n * at.by_state, *C = at.C + n * at.by_state;
    vec *dB = sums.B + n * FOLDED, *dC = sums.C + n * FOLDED;
    vec state[S], A[S], dA_tile[S];
    for (int i = 0; i < S; ++i) state[i] = h[n + i], A[i] = of.A_log2e[n + i];
    const int whole = steps / FOLD * FOLD, rest = steps - whole;
    for (int t = 0; t < whole; t += FOLD) adjoint_there<BOUNDED, S>(tile, t, FOLD, state, A, B, at.by_state, dC);
    if (rest) adjoint_there<BOUNDED, S>(tile, whole, rest, state, A, B, at.by_state, dC);
    for (int i = 0; i < S; ++i) state[i] = dh[n + i], A[i] = of.A[n + i], dA_tile[i] = vec{};
    if (rest) adjoint_back<S>(tile, whole, rest, state, A, dA_tile, B, C, at.by_state, dB);
    for (int t = whole - FOLD; t >= 0; t -= FOLD) adjoint_back<S>(tile, t, FOLD, state, A, dA_tile, B, C, at.by_state, dB);
    for (int i = 0; i < S; ++i) dh[n + i] = state[i], dA[n + i] += dA_tile[i];
}

template <bool BOUNDED>
inline void adjoint_all(Tile& tile, int steps, const vec* h, vec* dh, vec* dA, const Constants& of, const Shared& at, const Sums& sums, Index N) {
    Index n = 0;
    for (; n + BACKWARD <= N; n += BACKWARD) adjoint<BOUNDED, BACKWARD>(tile, steps, h, dh, dA, of, at, sums, n);
    for (; n < N; ++n) adjoint<BOUNDED, 1>(tile, steps, h, dh, dA, of, at, sums, n);
}

// delta and delta u from what was loaded; returns the largest |delta|. Computes to the end of a group: what lies beyond a tile's steps is
// some number, and not used. SLOPE: the derivative of softplus takes raw's place.
template <bool SLOPE>
inline float prepare(Tile& tile, int steps, bool with_softplus) {
    vec most{};
    for (int t = 0; t < steps; t += GROUP) {
        vec delta[GROUP], raw[GROUP], z[GROUP];
        for (int i = 0; i < GROUP; ++i) delta[i] = raw[i] = t + i < steps ? tile.raw[t + i] : vec{};
        if (with_softplus) {
            softplus(delta, z);
            if constexpr (SLOPE) {
                sigmoid(z, raw);
                for (int i = 0; i < GROUP; ++i) tile.raw[t + i] = z[i];
            }
        }
        for (int i = 0; i < GROUP; ++i) {
            tile.delta[t + i] = delta[i];
            tile.delta_u[t + i] = delta[i] * tile.u[t + i];
            most = most > absolute(delta[i]) ? most : absolute(delta[i]);  // NaN is the largest
        }
    }
    float largest = 0;
    for (int i = 0; i < LANES; ++i) largest = largest > most[i] ? largest : most[i];
    return largest;
}

// du, ddelta and the gradients of D and delta_bias from those of delta_u and of what reaches delta through the decay.
inline void close(Tile& tile, int steps, bool with_softplus, const Constants& of, const Constants& total) {
    vec dD{}, dbias{};
    for (int t = 0; t < steps; ++t) {
        vec ddelta = tile.du[t] * tile.u[t] + tile.ddelta[t];
        if (with_softplus) ddelta *= tile.raw[t];
        tile.ddelta[t] = ddelta;
        tile.du[t] = tile.du[t] * tile.delta[t] + *of.D * tile.dy[t];
        dD += tile.dy[t] * tile.u[t];
        dbias += ddelta;
    }
    *total.D += dD;
    *total.bias += dbias;
}

// Sums over lanes of (rows, FOLDED) folded vectors, which it destroys, to (rows, TILE) numbers.
inline void reduce(float* to, vec* from, Index rows) {
    for (Index row = 0; row < rows; ++row)
        for (Index t = 0; t < TILE; t += LANES) store(to + row * TILE + t, sum_of_lanes<FOLD>(from + row * FOLDED + t / FOLD));
}
}  // namespace

// The sources ----------------------------------------------------------------------------------------------------------------------------

// As models/scan/backends/cpp.py lays them out; float32, contiguous, shapes as in models/scan/contract.py. D and bias may be null.
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
// dx, and room for as much where K = 4; proj (parts, B, P, K, R + 2N); constants (B, K C, N + 2 + R): of A, D, delta_bias, dt_proj.
struct ImageGradients {
    const float* dy;
    float *dx, *dx_columns, *proj, *constants;
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
    float reach = 0;
    for (Index n = 0; n < N; ++n) {
        to.A[n] = column(from.A + row * N + n, N, lanes);
        to.A_log2e[n] = to.A[n] * LOG2E;
        for (int i = 0; i < lanes; ++i) reach = reach > std::fabs(to.A_log2e[n][i]) ? reach : std::fabs(to.A_log2e[n][i]);
    }
    *to.reach = vec{} + reach;
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
        shared = {scan.B + at, scan.C + at, scan.length};
    }
    void constants(const Constants& to, const Block& block) const {
        read_constants(to, scan, nullptr, 0, sequence % scan.groups * scan.width + block.first, block.lanes);
    }
    void read(Tile& tile, const Constants& of, const Block& block) const {
        gather(tile.u, scan.u + offset(block), scan.length, block.lanes, steps, grad ? -TILE : TILE);
        gather(tile.raw, scan.delta + offset(block), scan.length, block.lanes, steps, grad ? -TILE : TILE);
        for (int t = 0; t < steps; ++t) tile.raw[t] += *of.bias;
    }
    void store_y(float* y, Tile& tile, const Block& block) const {
        scatter(y + offset(block), scan.length, tile.y, block.lanes, steps, TILE);
    }
    void read_dy(Tile& tile, const Block& block) const {
        gather(tile.dy, grad->dy + offset(block), scan.length, block.lanes, steps, -TILE);
        vec mask{};
        for (int i = 0; i < block.lanes; ++i) mask[i] = 1.0f;
        if (block.lanes < LANES)
            for (int t = 0; t < steps; ++t) tile.dy[t] *= mask;
    }
    void store_gradients(Tile& tile, const Block& block, vec*, const Constants&, const Constants&) const {
        scatter(grad->du + offset(block), scan.length, tile.du, block.lanes, steps, -TILE);
        scatter(grad->ddelta + offset(block), scan.length, tile.ddelta, block.lanes, steps, -TILE);
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
    Index at[TILE];            // the pixel of each step
    std::vector<float> entry;  // proj at these pixels, (R + 2N, TILE)
    Shared shared{};

    Walk(const Image& of, Index image_number, Index direction, const ImageGradients* to = nullptr)
        : image(of), grad(to), which(image_number), k(direction), columns(of.directions == 4 && direction % 2 == 1),
          reversed(of.directions > 1 && direction >= of.directions / 2), entry(TILE * entries()) {}
    Index length() const { return image.height * image.width; }
    Index width() const { return image.channels; }
    Index states() const { return image.states; }
    Index rank() const { return image.rank; }
    Index entries() const { return image.rank + 2 * image.states; }
    bool with_softplus() const { return true; }
    Index row(const Block& block) const { return k * image.channels + block.first; }
    Index offset(int t, const Block& block) const { return at[t] * image.channels + block.first; }

    void begin(Index tile) {
        start = tile * TILE;
        steps = int(std::min<Index>(TILE, length() - start));
        const Index line = columns ? image.height : length(), stride = columns ? image.width : 1;  // steps and pixels between them
        for (int t = 0; t < steps;) {
            const Index i = reversed ? length() - 1 - start - t : start + t, place = i % line;
            const int run = int(std::min<Index>(steps - t, reversed ? place + 1 : line - place));
            Index pixel = which * length() + (columns ? place * stride + i / line : i);
            for (const int end = t + run; t < end; ++t, pixel += reversed ? -stride : stride) at[t] = pixel;
        }
        read_entries();
        shared = {entry.data() + rank() * TILE, entry.data() + (rank() + states()) * TILE, TILE};
    }
    Index entries_of(int t) const { return (at[t] * image.directions + k) * entries(); }
    void read_entries() {
        int t = 0;
        for (; t + LANES <= steps && entries() >= LANES; t += LANES)
            for (Index j = 0; j < entries(); j += LANES) {
                const Index from = std::min(j, entries() - LANES);  // the last square may overlap the one before
                vec square[LANES];
                for (int i = 0; i < LANES; ++i) square[i] = load(image.proj + entries_of(t + i) + from);
                transpose(square);
                for (int i = 0; i < LANES; ++i) store(&entry[(from + i) * TILE + t], square[i]);
            }
        for (; t < steps; ++t)
            for (Index j = 0; j < entries(); ++j) entry[j * TILE + t] = image.proj[entries_of(t) + j];
    }
    void constants(const Constants& to, const Block& block) const { read_constants(to, image, image.dt_proj, rank(), row(block), block.lanes); }
    void read(Tile& tile, const Constants& of, const Block& block) const {
        // The next column lies beside this one; no processor foresees that of steps a line apart.
        const Index ahead = columns ? image.channels * (reversed ? -1 : 1) : 0;
        for (int t = 0; t < steps; ++t) {
            const float* p = image.x + offset(t, block);
            tile.u[t] = load_part(p, block.lanes);
            if (columns) __builtin_prefetch(p + ahead);
        }
        for (int t = 0; t < steps; t += LANES) {  // to the end of a group, as `prepare` does
            vec raw[LANES];
            for (int i = 0; i < LANES; ++i) raw[i] = *of.bias;
            for (Index r = 0; r < rank(); ++r)
                for (int i = 0; i < LANES; ++i) raw[i] += of.dt_proj[r] * entry[r * TILE + t + i];
            for (int i = 0; i < LANES; ++i) tile.raw[t + i] = raw[i];
        }
    }
    // The second direction of a pair adds to what the first has stored.
    void put(float* to, const vec* values, const Block& block) const {
        for (int t = 0; t < steps; ++t) {
            float* p = to + offset(t, block);
            store_part(p, reversed ? load_part(p, block.lanes) + values[t] : values[t], block.lanes);
        }
    }
    void store_y(float* y, Tile& tile, const Block& block) const { put(y, tile.y, block); }
    void read_dy(Tile& tile, const Block& block) const {
        for (int t = 0; t < steps; ++t) tile.dy[t] = load_part(grad->dy + offset(t, block), block.lanes);
    }
    void store_gradients(Tile& tile, const Block& block, vec* sums, const Constants& of, const Constants& total) const {
        put(columns ? grad->dx_columns : grad->dx, tile.du, block);
        for (Index r = 0; r < rank(); ++r) {
            vec ddt_proj[GROUP]{};
            for (int t = 0; t < steps; t += GROUP) {
                vec through[GROUP]{};
                for (int i = 0; i < GROUP && t + i < steps; ++i) {
                    through[i] = tile.ddelta[t + i] * of.dt_proj[r];
                    ddt_proj[i] += tile.ddelta[t + i] * entry[r * TILE + t + i];
                }
                sums[r * FOLDED + t / FOLD] += fold(through);
            }
            for (int i = 0; i < GROUP; ++i) total.dt_proj[r] += ddt_proj[i];
        }
    }
    void store_sums(const float* sums, Index part) const {
        float* to = grad->proj + part * image.batch * length() * image.directions * entries();
        int t = 0;
        for (; t + LANES <= steps && entries() >= LANES; t += LANES)
            for (Index j = 0; j < entries(); j += LANES) {
                const Index from = std::min(j, entries() - LANES);
                vec square[LANES];
                for (int i = 0; i < LANES; ++i) square[i] = load(sums + (from + i) * TILE + t);
                transpose(square);
                for (int i = 0; i < LANES; ++i) store(to + entries_of(t + i) + from, square[i]);
            }
        for (; t < steps; ++t)
            for (Index j = 0; j < entries(); ++j) to[entries_of(t) + j] = sums[j * TILE + t];
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
            source.read(*tile, of, block);
            const bool bounded = prepare<false>(*tile, source.steps, source.with_softplus()) * (*of.reach)[0] < REACH;
            std::fill_n(tile->y, source.steps, vec{});
            (bounded ? scan<true> : scan<false>)(*tile, source.steps, h, of.A_log2e, source.shared, N);
            for (int t = 0; t < source.steps; ++t) tile->y[t] += *of.D * tile->u[t];  // last: a large D u must not round the sum over states
            source.store_y(y, *tile, block);
        }
    }
}

template <class Source>
void backward_task(Source source, Index first, Index last, Index part, const float* kept) {
    const Index N = source.states(), R = source.rank(), count = Constants::count(N, R), blocks = last - first, all = blocks_of(source.width());
    Vectors constants(blocks * count), totals(blocks * count), adjoints(blocks * N), h(N), sums((R + 2 * N) * FOLDED);
    std::vector<float> reduced((R + 2 * N) * TILE);
    auto tile = std::make_unique<Tile>();
    for (Index b = 0; b < blocks; ++b) source.constants({&constants[b * count], N}, block_of(first + b, source.width()));
    for (Index i = (source.length() - 1) / TILE; i >= 0; --i) {
        source.begin(i);
        std::fill(sums.begin(), sums.end(), vec{});
        const Sums shared{&sums[R * FOLDED], &sums[(R + N) * FOLDED]};
        for (Index b = 0; b < blocks; ++b) {
            const Block block = block_of(first + b, source.width());
            const Constants of(&constants[b * count], N), total(&totals[b * count], N);
            std::memcpy(h.data(), kept + (i * all + first + b) * N * LANES, N * sizeof(vec));
            source.read(*tile, of, block);
            source.read_dy(*tile, block);
            const bool bounded = prepare<true>(*tile, source.steps, source.with_softplus()) * (*of.reach)[0] < REACH;
            std::fill_n(tile->du, source.steps, vec{});
            std::fill_n(tile->ddelta, source.steps, vec{});
            vec* dh = &adjoints[b * N];
            (bounded ? adjoint_all<true> : adjoint_all<false>)(*tile, source.steps, h.data(), dh, total.A, of, source.shared, shared, N);
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

// Adds what the columns gave to what the rows gave.
void add(float* to, const float* from, Index count, int threads) {
    constexpr Index PIECE = 1 << 14;
    run((count + PIECE - 1) / PIECE, threads, [&](Index piece) {
        const Index end = std::min(count, (piece + 1) * PIECE);
        for (Index i = piece * PIECE; i < end; ++i) to[i] += from[i];
    });
}

constexpr Index MOST_BLOCKS = 8;  // of a task over an image, which reads proj once for all of them

// What surrounds a scan ------------------------------------------------------------------------------------------------------------------

// x * sigmoid(x) into x.
template <int M>
inline void silu(vec (&x)[M]) {
    vec z[M];
    for (int i = 0; i < M; ++i) z[i] = x[i];
    exp_minus_abs(z);
    sigmoid(z, x);
    for (int i = 0; i < M; ++i) x[i] *= z[i];
}

inline float total_of(vec x) {
    float sum = 0;
    for (int i = 0; i < LANES; ++i) sum += x[i];
    return sum;
}

constexpr Index PIXELS = 64;  // of a task
}  // namespace

// Pixels of `width` channels; those of the input lie `stride` apart, those of the output `width`.
struct Around {
    const float *input, *gate, *weight, *bias;
    float* output;
    Index batch, height, width, channels, stride;
    float epsilon;
    int32_t threads;
};

extern "C" {

// Layer normalisation over the channels of `input` (contiguous), times SiLU of `gate` (pixels `stride` apart).
void gated_norm(const Around* of) {
    const Index pixels = of->batch * of->height * of->width, channels = of->channels, blocks = blocks_of(channels);
    run((pixels + PIXELS - 1) / PIXELS, of->threads, [&](Index task) {
        for (Index pixel = task * PIXELS; pixel < std::min(pixels, (task + 1) * PIXELS); ++pixel) {
            const float *x = of->input + pixel * channels, *gate = of->gate + pixel * of->stride;
            vec sum{}, square{};
            for (Index b = 0; b < blocks; ++b) sum += load_part(x + b * LANES, block_of(b, channels).lanes);
            const vec mean = vec{} + total_of(sum) / float(channels);
            for (Index b = 0; b < blocks; ++b) {
                const int lanes = block_of(b, channels).lanes;
                vec off = load_part(x + b * LANES, lanes) - mean;
                for (int i = lanes; i < LANES; ++i) off[i] = 0;
                square += off * off;
            }
            const float scale = 1 / std::sqrt(total_of(square) / float(channels) + of->epsilon);
            for (Index b = 0; b < blocks; ++b) {
                const int lanes = block_of(b, channels).lanes;
                const Index at = b * LANES;
                vec open[1] = {load_part(gate + at, lanes)};
                silu(open);
                const vec y = (load_part(x + at, lanes) - mean) * scale * load_part(of->weight + at, lanes) + load_part(of->bias + at, lanes);
                store_part(of->output + pixel * channels + at, y * open[0], lanes);
            }
        }
    });
}

// SiLU of a depth-wise 3x3 convolution of `input` (pixels `stride` apart) with zeros around it; weight (9, channels).
void depthwise_silu(const Around* of) {
    const Index H = of->height, W = of->width, channels = of->channels, blocks = blocks_of(channels);
    run(of->batch * H, of->threads, [&](Index line) {
        const Index image = line / H, row = line % H;
        for (Index b = 0; b < blocks; ++b) {
            const int lanes = block_of(b, channels).lanes;
            const Index at = b * LANES;
            vec weight[9];
            for (int i = 0; i < 9; ++i) weight[i] = load_part(of->weight + i * channels + at, lanes);
            const vec bias = load_part(of->bias + at, lanes);
            for (Index column = 0; column < W; ++column) {
                vec y[1] = {bias};
                for (Index i = row ? 0 : 1; i < (row + 1 < H ? 3 : 2); ++i)
                    for (Index j = column ? 0 : 1; j < (column + 1 < W ? 3 : 2); ++j)
                        y[0] += weight[3 * i + j] * load_part(of->input + ((image * H + row + i - 1) * W + column + j - 1) * of->stride + at, lanes);
                silu(y);
                store_part(of->output + (line * W + column) * channels + at, y[0], lanes);
            }
        }
    });
}

}  // extern "C"

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

// y (B, P, C), and room for as much where K = 4. How many blocks a task takes depends on the threads, but no sum does.
void image_forward(const Image* image, float* y, float* y_columns, float* kept) {
    const Index K = image->directions, pairs = K == 4 ? 2 : 1, blocks = blocks_of(image->channels), pixels = image->height * image->width;
    const Index size = (pixels + TILE - 1) / TILE * blocks * image->states * LANES;
    const Index group = std::max<Index>(1, std::min(MOST_BLOCKS, image->batch * pairs * blocks / (2 * image->threads)));
    const Index groups = (blocks + group - 1) / group;
    run(image->batch * pairs * groups, image->threads, [&](Index task) {
        const Index which = task / (pairs * groups), pair = task / groups % pairs, part = task % groups;
        for (Index k = pair; k < K; k += std::max<Index>(1, K / 2))
            forward_task(Walk(*image, which, k), cut(blocks, part, groups), cut(blocks, part + 1, groups), pair ? y_columns : y,
                         kept ? kept + (which * K + k) * size : nullptr);
    });
    if (pairs == 2) add(y, y_columns, image->batch * pixels * image->channels, image->threads);
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
    if (pairs == 2) add(grad->dx, grad->dx_columns, image->batch * image->height * image->width * image->channels, image->threads);
}

// Computes 2^x `count` vectors a thread from registers, to tell how fast this processor can; the sum keeps it from being left out.
float scan_exp2(Index count, int threads) {
    std::vector<float> sums(threads);
    run(threads, threads, [&](Index thread) {
        vec sum[GROUP]{}, step;
        for (int i = 0; i < LANES; ++i) step[i] = 1e-9f * float(i + 1);
        for (Index done = 0; done < count; done += GROUP) {
            vec x[GROUP], one[GROUP];
            for (int i = 0; i < GROUP; ++i) x[i] = step * float(done & 0xffff), one[i] = vec{} - float(i + 1);
            exp2_of_product<true>(x, one);
            for (int i = 0; i < GROUP; ++i) sum[i] += x[i];
        }
        sum[0] += sum[1] + sum[2] + sum[3];
        for (int i = 0; i < LANES; ++i) sums[thread] += sum[0][i];
    });
    float total = 0;
    for (float sum : sums) total += sum;
    return total;
}

}  // extern "C"
