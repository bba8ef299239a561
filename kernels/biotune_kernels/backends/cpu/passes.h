// The three passes for one instruction set; `WIDTH` is the number of bytes in its vectors.
//
// Forward and backward states: a chunk of up to 4 vectors of batch columns goes through all time steps by itself, its
// states packed in scratch. While the edges of a row are walked, its sums stay in registers: two sets of them, taken in
// turns, so that an addition need not wait for the one before. A column's sums are the same to the bit, whatever the
// width of its chunk and the number of threads.
//
// Weights: row by row, over all time steps. A row's gradients of one time step stay in registers while its edges are
// walked; lanes are summed for four edges together. One thread computes all of an edge's sum, always in the same order.

namespace {

#include "vector.h"

using namespace sparse_rnn;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "four places are read as one number");

template <typename T>
constexpr int LANES = WIDTH / sizeof(T) < 4 ? 4 : WIDTH / sizeof(T);

inline int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

template <typename T>
inline const T* at(const Strided& tensor, int64_t time, int64_t replicate, int64_t column) {
    return static_cast<const T*>(tensor.data) + time * tensor.time + replicate * tensor.population + column * tensor.batch;
}

// ---- Forward and backward states -----------------------------------------------------------------------------------

// Rows of a state in scratch. A row of zeros, which padding points at, follows each block; the last block is as long as
// the others.
inline int64_t state_rows(const Lines& lines) { return lines.blocks * (lines.block + 1); }

template <typename T, int L, int C>
struct Sums {
    using X = Vector<T, L>;
    using V = typename X::V;
    V even[C], odd[C];

    void start(V value) {
        for (int c = 0; c < C; ++c) even[c] = value, odd[c] = V{};
    }
    void start(const T* row) {
        for (int c = 0; c < C; ++c) even[c] = X::load(row + c * L), odd[c] = V{};
    }
    static void add(V* sums, T value, const T* row) {
        for (int c = 0; c < C; ++c) sums[c] += value * X::load(row + c * L);
    }
    void walk(const T* __restrict values, const uint16_t* __restrict other, int64_t groups, const T* __restrict block) {
        for (int64_t g = 0; g < groups; ++g, values += 4, other += 4) {
            uint64_t four;
            __builtin_memcpy(&four, other, 8);
            add(even, values[0], block + (four & 0xffff) * (C * L));
            add(odd, values[1], block + (four >> 16 & 0xffff) * (C * L));
            add(even, values[2], block + (four >> 32 & 0xffff) * (C * L));
            add(odd, values[3], block + (four >> 48) * (C * L));
        }
    }
    void total(V* sums) const {
        for (int c = 0; c < C; ++c) sums[c] = even[c] + odd[c];
    }
};

// Copies a row of a packed state to the batch columns of `to`.
template <typename T, int L, int C>
inline void put(T* to, const typename Vector<T, L>::V* value, int64_t columns) {
    using X = Vector<T, L>;
    for (int c = 0; c < C; ++c) {
        int64_t left = columns - c * L;
        if (left >= L) X::store(to + c * L, value[c]);
        else if (left > 0) X::store_some(to + c * L, value[c], left);
    }
}

template <typename T, int L, int C>
inline void get(typename Vector<T, L>::V* value, const T* from, int64_t columns) {
    using X = Vector<T, L>;
    for (int c = 0; c < C; ++c) {
        int64_t left = columns - c * L;
        value[c] = left >= L ? X::load(from + c * L) : left > 0 ? X::load_some(from + c * L, left) : typename X::V{};
    }
}

template <typename T>
void pack_state(T* state, int64_t width, const Lines& lines, const Strided& tensor, const T* from, int64_t size, int64_t columns) {
    for (int64_t first = 0, block = 0; first < size; first += lines.block, ++block) {
        int64_t rows = size - first < lines.block ? size - first : lines.block;
        pack(state + (first + block) * width, width, from + first * tensor.row, tensor.row, tensor.batch, rows, columns);
    }
}

// Calls visit(i, place of row i in `state`, groups of row i in `block`, their number) for every row.
template <typename T, typename Visit>
inline void each_row(const Shape& s, const Lines& lines, int64_t replicate, int64_t block, T* state, int64_t width, const Visit& visit) {
    const int64_t* start = lines.start + (replicate * lines.blocks + block) * s.size;
    for (int64_t i = 0; i < s.size; state += width) {
        for (int64_t end = s.size - i < lines.block ? s.size : i + lines.block; i < end; ++i, state += width) {
            visit(i, state, start[i], start[i + 1] - start[i]);
        }
    }
}

template <typename T, int L, int C>
void forward_chunk(const Forward& job, Chunk chunk, void* scratch) {
    using X = Vector<T, L>;
    using V = typename X::V;
    constexpr int64_t W = C * L;
    const Shape& s = job.shape;
    const Lines& lines = job.lines;
    const int64_t rows = state_rows(lines), p = chunk.replicate;
    const bool relu = s.relu[p];
    T* now = static_cast<T*>(scratch);
    T* next = now + rows * W;
    T* inputs = next + rows * W;
    __builtin_memset(scratch, 0, 2 * rows * W * sizeof(T));
    if (job.hidden_0.data) pack_state(now, W, lines, job.hidden_0, at<T>(job.hidden_0, 0, p, chunk.column), s.size, chunk.columns);
    const T* values = static_cast<const T*>(job.values);
    const T* weight_ih = static_cast<const T*>(job.weight_ih) + p * s.size * s.input_size;
    const T* bias = static_cast<const T*>(job.bias) + p * s.size;
    for (int64_t t = 0; t < s.time; ++t) {
        pack(inputs, W, at<T>(job.inputs, t, p, chunk.column), job.inputs.row, job.inputs.batch, s.input_size, chunk.columns);
        T* hidden = static_cast<T*>(job.hidden) + (t * s.population + p) * s.size * s.batch + chunk.column;
        const bool recurrent = t > 0 || job.hidden_0.data;
        const int64_t first = recurrent ? 0 : lines.blocks - 1, last = lines.blocks - 1;
        for (int64_t block = first; block <= last; ++block) {
            const T* sources = now + block * (lines.block + 1) * W;
            each_row(s, lines, p, block, next, W, [&](int64_t i, T* place, int64_t group, int64_t groups) {
                Sums<T, L, C> sums;
                if (block == first) {
                    sums.start(X::all(bias[i]));
                    const T* weight = weight_ih + i * s.input_size;
                    for (int64_t j = 0; j < s.input_size; ++j) sums.add(j % 2 ? sums.odd : sums.even, weight[j], inputs + j * W);
                } else {
                    sums.start(place);
                }
                if (recurrent) sums.walk(values + 4 * group, lines.other + 4 * group, groups, sources);
                V state[C];
                sums.total(state);
                if (block == last) {
                    if (relu) X::template relu<C>(state);
                    else X::template tanh<C>(state);
                    put<T, L, C>(hidden + i * s.batch, state, chunk.columns);
                }
                for (int c = 0; c < C; ++c) X::store(place + c * L, state[c]);
            });
        }
        T* swap = now;
        now = next;
        next = swap;
    }
}

template <typename T, int L, int C>
void backward_chunk(const Backward& job, Chunk chunk, void* scratch) {
    using X = Vector<T, L>;
    using V = typename X::V;
    constexpr int64_t W = C * L;
    const Shape& s = job.shape;
    const Lines& lines = job.lines;
    const int64_t rows = state_rows(lines), p = chunk.replicate;
    const bool relu = s.relu[p];
    T* now = static_cast<T*>(scratch);
    T* next = now + rows * W;
    __builtin_memset(scratch, 0, 2 * rows * W * sizeof(T));
    const T* values = static_cast<const T*>(job.values);
    T* grad_hidden_0 = static_cast<T*>(job.grad_hidden_0);
    for (int64_t t = s.time - 1; t >= (grad_hidden_0 ? -1 : 0); --t) {
        const bool recurrent = t < s.time - 1;
        const int64_t corner = (t * s.population + p) * s.size * s.batch + chunk.column;
        const T* hidden = static_cast<const T*>(job.hidden) + corner;
        T* grad_pre = t >= 0 ? static_cast<T*>(job.grad_pre) + corner : grad_hidden_0 + p * s.size * s.batch + chunk.column;
        const int64_t given = t - (s.time - job.grad_steps);
        if (given >= 0) pack_state(next, W, lines, job.grad, at<T>(job.grad, given, p, chunk.column), s.size, chunk.columns);
        else __builtin_memset(next, 0, rows * W * sizeof(T));
        const int64_t last = lines.blocks - 1;
        for (int64_t block = recurrent ? 0 : last; block <= last; ++block) {
            const T* targets = now + block * (lines.block + 1) * W;
            each_row(s, lines, p, block, next, W, [&](int64_t i, T* place, int64_t group, int64_t groups) {
                Sums<T, L, C> sums;
                sums.start(place);
                if (recurrent) sums.walk(values + 4 * group, lines.other + 4 * group, groups, targets);
                V grad[C], state[C];
                sums.total(grad);
                if (block == last && t >= 0) {
                    get<T, L, C>(state, hidden + i * s.batch, chunk.columns);
                    for (int c = 0; c < C; ++c) {
                        if (relu) grad[c] = state[c] <= T(0) ? V{} : grad[c];
                        else grad[c] *= T(1) - state[c] * state[c];
                    }
                }
                if (block == last) put<T, L, C>(grad_pre + i * s.batch, grad, chunk.columns);
                for (int c = 0; c < C; ++c) X::store(place + c * L, grad[c]);
            });
        }
        T* swap = now;
        now = next;
        next = swap;
    }
}

// ---- Weights -------------------------------------------------------------------------------------------------------

// For four edges, the sum over lanes of the state at each one's other end times the row's gradient, held in registers.
template <typename T, int L, int C>
inline Quad<T> four_products(const typename Vector<T, L>::V* grad, const T* a, const T* b, const T* c, const T* d) {
    using X = Vector<T, L>;
    typename X::V sa = grad[0] * X::load(a), sb = grad[0] * X::load(b), sc = grad[0] * X::load(c), sd = grad[0] * X::load(d);
    for (int i = 1; i < C; ++i) {
        sa += grad[i] * X::load(a + i * L);
        sb += grad[i] * X::load(b + i * L);
        sc += grad[i] * X::load(c + i * L);
        sd += grad[i] * X::load(d + i * L);
    }
    return fold<T>(merge<T>(sa, sb, sc, sd));
}

template <typename T>
inline void add_four(T* to, Quad<T> value) {
    Vector<T, 4>::store(to, Vector<T, 4>::load(to) + value);
}

// A step's states and gradients, for the columns that are summed together; their rows are `stride` apart.
template <typename T>
struct Slab {
    const T* states;  // null if they are zero: before the first step, without h_0
    int64_t states_stride;
    const T* grads;
    int64_t grads_stride;
    const T* inputs;  // [input_size + 1 rounded up to 4, width]: a row of ones follows the inputs
};

template <typename T, int L, int C>
void add_slab(const Weights& job, Rows task, const Slab<T>& slab, T* grad_ih) {
    using V = typename Vector<T, L>::V;
    const Shape& s = job.shape;
    const Lines& lines = job.lines;
    const int64_t input_rows = round_up(s.input_size + 1, 4);
    for (int64_t i = task.row; i < task.row + task.rows; ++i) {
        V grad[C];
        for (int c = 0; c < C; ++c) grad[c] = Vector<T, L>::load(slab.grads + i * slab.grads_stride + c * L);
        for (int64_t j = 0; j < input_rows; j += 4) {
            const T* from = slab.inputs + j * (C * L);
            add_four(grad_ih + (i - task.row) * input_rows + j,
                     four_products<T, L, C>(grad, from, from + C * L, from + 2 * C * L, from + 3 * C * L));
        }
    }
    if (!job.grad_values || !slab.states) return;
    for (int64_t block = 0; block < lines.blocks; ++block) {
        const int64_t* start = lines.start + (task.replicate * lines.blocks + block) * s.size;
        const T* states = slab.states + block * lines.block * slab.states_stride;
        const int64_t stride = slab.states_stride;
        for (int64_t i = task.row; i < task.row + task.rows; ++i) {
            V grad[C];
            for (int c = 0; c < C; ++c) grad[c] = Vector<T, L>::load(slab.grads + i * slab.grads_stride + c * L);
            const uint16_t* other = lines.other + 4 * start[i];
            T* sums = static_cast<T*>(job.grad_values) + 4 * start[i];
            T* end = static_cast<T*>(job.grad_values) + 4 * start[i + 1];
            for (; sums < end; sums += 4, other += 4) {
                add_four(sums, four_products<T, L, C>(grad, states + other[0] * stride, states + other[1] * stride,
                                                      states + other[2] * stride, states + other[3] * stride));
            }
        }
    }
}

constexpr int MOST_VECTORS = WIDTH == 64 ? 8 : 4;  // of a row of gradients, so that they stay in registers

template <typename T>
int64_t weights_scratch(const Shape& shape, Rows task) {
    int64_t inputs = round_up(shape.input_size + 1, 4);
    return (inputs * MOST_VECTORS * LANES<T> + task.rows * inputs + 2 * shape.size * LANES<T>) * int64_t(sizeof(T)) + 256;
}

template <typename T>
void weights(const Weights& job, Rows task, void* scratch) {
    constexpr int L = LANES<T>;
    const Shape& s = job.shape;
    const int64_t p = task.replicate, input_rows = round_up(s.input_size + 1, 4);
    T* inputs = static_cast<T*>(scratch);
    T* tail = inputs + input_rows * MOST_VECTORS * L;  // columns that do not fill a vector: their states and gradients
    T* grad_ih = tail + 2 * s.size * L;
    __builtin_memset(grad_ih, 0, task.rows * input_rows * sizeof(T));
    for (int64_t t = 0; t < s.time; ++t) {
        const T* grads = static_cast<const T*>(job.grad_pre) + (t * s.population + p) * s.size * s.batch;
        const T* states = t > 0 ? static_cast<const T*>(job.hidden) + (t - 1) * s.population * s.size * s.batch
                                : static_cast<const T*>(job.hidden_0);
        if (states) states += p * s.size * s.batch;
        for (int64_t column = 0, columns; column < s.batch; column += columns) {
            int vectors = MOST_VECTORS;
            while (vectors > 1 && vectors * L > s.batch - column) vectors /= 2;
            columns = s.batch - column < vectors * L ? s.batch - column : vectors * L;
            const int64_t width = vectors * L;
            __builtin_memset(inputs, 0, input_rows * width * sizeof(T));
            pack(inputs, width, at<T>(job.inputs, t, p, column), job.inputs.row, job.inputs.batch, s.input_size, columns);
            for (int64_t c = 0; c < columns; ++c) inputs[s.input_size * width + c] = T(1);
            Slab<T> slab = {states ? states + column : nullptr, s.batch, grads + column, s.batch, inputs};
            if (columns < width) {
                pack(tail + s.size * L, L, grads + column, s.batch, 1, s.size, columns);
                slab.grads = tail + s.size * L, slab.grads_stride = L;
            }
            if (states && columns < width) {
                pack(tail, L, states + column, s.batch, 1, s.size, columns);
                slab.states = tail, slab.states_stride = L;
            }
            if (vectors == 1) add_slab<T, L, 1>(job, task, slab, grad_ih);
            if (vectors == 2) add_slab<T, L, 2>(job, task, slab, grad_ih);
            if (vectors == 4) add_slab<T, L, 4>(job, task, slab, grad_ih);
            if (vectors == 8) add_slab<T, L, MOST_VECTORS>(job, task, slab, grad_ih);
        }
    }
    T* weight_ih = static_cast<T*>(job.grad_weight_ih) + (p * s.size + task.row) * s.input_size;
    T* bias = static_cast<T*>(job.grad_bias) + p * s.size + task.row;
    for (int64_t i = 0; i < task.rows; ++i) {
        const T* from = grad_ih + i * input_rows;
        for (int64_t j = 0; j < s.input_size; ++j) weight_ih[i * s.input_size + j] = from[j];
        bias[i] = from[s.input_size];
    }
}

// ---- What the library calls ----------------------------------------------------------------------------------------

template <typename T>
int64_t chunk_columns(int64_t columns) {
    int64_t width = LANES<T> > 4 ? LANES<T> / 2 : LANES<T>;
    while (width < columns && width < 4 * LANES<T>) width *= 2;
    return width;
}

template <typename T>
int64_t chunk_scratch(const Shape& shape, const Lines& lines, int64_t columns) {
    return (2 * state_rows(lines) + shape.input_size) * chunk_columns<T>(columns) * int64_t(sizeof(T));
}

template <typename T>
void forward(const Forward& job, Chunk chunk, void* scratch) {
    constexpr int L = LANES<T>;
    int64_t width = chunk_columns<T>(chunk.columns);
    if (width == 4 * L) return forward_chunk<T, L, 4>(job, chunk, scratch);
    if (width == 2 * L) return forward_chunk<T, L, 2>(job, chunk, scratch);
    if (width == L) return forward_chunk<T, L, 1>(job, chunk, scratch);
    return forward_chunk<T, (L > 4 ? L / 2 : L), 1>(job, chunk, scratch);
}

template <typename T>
void backward(const Backward& job, Chunk chunk, void* scratch) {
    constexpr int L = LANES<T>;
    int64_t width = chunk_columns<T>(chunk.columns);
    if (width == 4 * L) return backward_chunk<T, L, 4>(job, chunk, scratch);
    if (width == 2 * L) return backward_chunk<T, L, 2>(job, chunk, scratch);
    if (width == L) return backward_chunk<T, L, 1>(job, chunk, scratch);
    return backward_chunk<T, (L > 4 ? L / 2 : L), 1>(job, chunk, scratch);
}

template <typename T>
constexpr Functions functions = {
    chunk_columns<T>, 4 * LANES<T>, chunk_scratch<T>, forward<T>, backward<T>, weights_scratch<T>, weights<T>,
};

}  // namespace
