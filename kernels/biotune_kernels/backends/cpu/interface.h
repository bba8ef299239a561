// What the files of the library share: the arguments of a pass, and the functions that each instruction set provides.
//
// Layouts are those of kernels/biotune_kernels/contract.py: time first, batch last. All sizes and offsets are 64-bit.

#pragma once

#include <cstdint>

namespace sparse_rnn {

// A matrix's edges by lines (rows or columns), divided into blocks by their other ends, so that the states of a block
// stay in cache. Line `i` of block `k` of replicate `p` has the groups from start[(p * blocks + k) * size + i] to the
// next start. A group is four edges; the last group of a line is padded. `other` is the place of each edge's other end
// in its block. slot[p * nnz + e] is the place of edge `e`, as numbered by the caller, among the replicate's groups.
struct Lines {
    const uint16_t* other;
    const int32_t* slot;
    const int64_t* start;
    int64_t blocks;
    int64_t block;  // other ends per block; in the state of a pass, a row of zeros follows each block
};

struct Shape {
    int64_t population, size, nnz, batch, time, input_size;
    const uint8_t* relu;  // [population]; 0: tanh
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

// The functions of an instruction set. `scratch` is aligned to 64 bytes; *_scratch says how many bytes it needs.
struct Functions {
    int64_t (*chunk_columns)(int64_t columns);  // the width at which a chunk of so many columns is computed
    int64_t widest;                             // the widest chunk
    int64_t (*chunk_scratch)(const Shape&, const Lines&, int64_t columns);
    void (*forward)(const Forward&, Chunk, void* scratch);
    void (*backward)(const Backward&, Chunk, void* scratch);
    int64_t (*weights_scratch)(const Shape&, Rows);
    void (*weights)(const Weights&, Rows, void* scratch);
};

}  // namespace sparse_rnn
