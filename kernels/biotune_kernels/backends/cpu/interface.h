// What the parts of the library share: the arguments of a pass, and the functions that each instruction set provides.
//
// Layouts are those of kernels/biotune_kernels/contract.py: time first, batch last. All sizes and offsets are 64-bit.

#pragma once

#include <cstdint>

namespace sparse_rnn {

// A matrix's edges, line by line, in blocks of lines' other ends so that a block of states stays in cache:
// line `i` of block `k` of replicate `p` has the groups start[(p * blocks + k) * size + i] up to the next start. A group
// is four edges, the last of a line filled up; `other` is the other end's place in its block, and slot[p * nnz + e] says
// where among the replicate's groups the edge given as number `e` is.
struct Lines {
    const uint16_t* other;
    const int32_t* slot;
    const int64_t* start;
    int64_t blocks;
    int64_t block;  // other ends in a block; in the state of a pass, a row of zeros follows each block
};

struct Shape {
    int64_t population, size, nnz, batch, time, input_size;
    int64_t relu;  // 0: tanh
};

// A tensor [time, population, rows, batch] with any strides, in elements.
struct Strided {
    const void* data;
    int64_t time, population, row, batch;
};

struct Forward {
    Shape shape;
    Lines lines;            // by target
    const void* values;     // [groups, 4], in the order of `lines`
    const void* weight_ih;  // [population, size, input_size]
    const void* bias;       // [population, size]
    Strided inputs;
    Strided hidden_0;  // of one time step; data is null for zeros
    void* hidden;      // [time, population, size, batch]
};

struct Backward {
    Shape shape;
    Lines lines;         // by source
    const void* values;  // [groups, 4], in the order of `lines`
    const void* hidden;
    Strided grad;   // of the last `grad_steps` steps; zero at those before
    int64_t grad_steps;
    void* grad_pre;          // [time, population, size, batch]: the gradient of the preactivation
    void* grad_hidden_0;  // [population, size, batch], or null
};

struct Weights {
    Shape shape;
    Lines lines;  // by target
    const void* hidden;
    const void* grad_pre;
    Strided inputs;
    const void* hidden_0;  // [population, size, batch], or null for zeros
    void* grad_values;  // [groups, 4], in the order of `lines`, zeros at first; or null
    void* grad_weight_ih;
    void* grad_bias;
};

// Columns [column, column + columns) of replicate `replicate`.
struct Chunk {
    int64_t replicate, column, columns;
};

// Rows [row, row + rows) of replicate `replicate`.
struct Rows {
    int64_t replicate, row, rows;
};

// Each instruction set's functions; `scratch` is aligned to 64 bytes and as large as the matching *_scratch says, in bytes.
struct Functions {
    int64_t (*chunk_columns)(int64_t columns);  // the width, in columns, at which a chunk is computed
    int64_t widest;                             // the widest chunk
    int64_t (*chunk_scratch)(const Shape&, const Lines&, int64_t columns);
    void (*forward)(const Forward&, Chunk, void* scratch);
    void (*backward)(const Backward&, Chunk, void* scratch);
    int64_t (*weights_scratch)(const Shape&, Rows);
    void (*weights)(const Weights&, Rows, void* scratch);
};

}  // namespace sparse_rnn
