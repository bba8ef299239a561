// The library's interface: plain C functions that choose the instruction set and divide the work among threads.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include "interface.h"

using namespace sparse_rnn;

namespace sparse_rnn {
extern const Functions baseline_float, baseline_double;
#if defined(__x86_64__)
extern const Functions avx2_float, avx2_double, avx512_float, avx512_double;
#endif
}  // namespace sparse_rnn

namespace {

int best_instructions() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
    return 0;
}

std::atomic<int> instructions{best_instructions()};

template <typename T>
const Functions& functions();
#if defined(__x86_64__)
template <>
const Functions& functions<float>() {
    return instructions == 2 ? avx512_float : instructions == 1 ? avx2_float : baseline_float;
}
template <>
const Functions& functions<double>() {
    return instructions == 2 ? avx512_double : instructions == 1 ? avx2_double : baseline_double;
}
#else
template <>
const Functions& functions<float>() { return baseline_float; }
template <>
const Functions& functions<double>() { return baseline_double; }
#endif

struct Work {
    std::atomic<int64_t> next{0};
    int64_t count;
    void (*run)(const void*, int64_t);
    const void* task;
};

void take(void* data) {
    Work& work = *static_cast<Work*>(data);
    for (int64_t i; (i = work.next.fetch_add(1)) < work.count;) work.run(work.task, i);
}

// Runs task(0) to task(count - 1). Several threads are those of the OpenMP runtime that the process already has
// (PyTorch's: a second pool would compete for the cores with PyTorch's waiting threads), or new ones if it has none.
template <typename Task>
void in_parallel(int64_t count, int64_t threads, const Task& task) {
    threads = std::min(threads, count);
    if (threads <= 1) {
        for (int64_t i = 0; i < count; ++i) task(i);
        return;
    }
    Work work;
    work.count = count;
    work.run = [](const void* task, int64_t i) { (*static_cast<const Task*>(task))(i); };
    work.task = &task;
    using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
    static const Parallel openmp = reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
    if (openmp) {
        openmp(take, &work, unsigned(threads), 0);
        return;
    }
    std::vector<std::thread> others;
    for (int64_t i = 1; i < threads; ++i) others.emplace_back(take, &work);
    take(&work);
    for (auto& thread : others) thread.join();
}

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};

std::unique_ptr<void, Free> scratch(int64_t bytes) {
    void* memory = nullptr;
    if (posix_memalign(&memory, 64, size_t(std::max<int64_t>(bytes, 64)))) memory = nullptr;
    return std::unique_ptr<void, Free>(memory);
}

// Asks for huge pages for states that are about to be written. The C library maps blocks of 32 MiB and more anew for
// each pass, and a page fault for every 4 KiB of them would take longer than the pass. It keeps smaller blocks.
template <typename T>
void ask_for_huge_pages(const Shape& s, void* states) {
#ifdef MADV_HUGEPAGE
    const uintptr_t bytes = uintptr_t(s.time * s.population * s.size * s.batch) * sizeof(T);
    if (bytes < uintptr_t(32) << 20) return;
    const uintptr_t page = uintptr_t(sysconf(_SC_PAGESIZE)), begin = (uintptr_t(states) + page - 1) / page * page;
    madvise(reinterpret_cast<void*>(begin), (uintptr_t(states) + bytes) / page * page - begin, MADV_HUGEPAGE);
#else
    (void)s, (void)states;
#endif
}

// Runs a pass over all chunks of batch columns of all replicates. Returns 0, or 1 if there was not enough memory.
template <typename T, typename Job>
int over_chunks(const Job& job, int64_t threads, void (*run)(const Job&, Chunk, void*)) {
    const Functions& f = functions<T>();
    const Shape& s = job.shape;
    int64_t width = std::min(f.widest, f.chunk_columns(s.batch));
    int64_t each = (threads + s.population - 1) / s.population;  // chunks per replicate that keep all threads busy
    while (f.chunk_columns(width / 2) < width && (s.batch + width - 1) / width < each) width /= 2;
    int64_t chunks = (s.batch + width - 1) / width;
    std::atomic<int> failed{0};
    in_parallel(s.population * chunks, threads, [&](int64_t i) {
        Chunk chunk{i / chunks, i % chunks * width, 0};
        chunk.columns = std::min(width, s.batch - chunk.column);
        auto memory = scratch(f.chunk_scratch(s, job.lines, chunk.columns));
        if (memory) run(job, chunk, memory.get());
        else failed = 1;
    });
    return failed;
}

template <typename T>
int over_rows(const Weights& job, int64_t threads) {
    const Functions& f = functions<T>();
    const Shape& s = job.shape;
    int64_t each = threads == 1 ? 1 : std::min(s.size, (2 * threads + s.population - 1) / s.population);
    int64_t rows = (s.size + each - 1) / each;
    std::atomic<int> failed{0};
    in_parallel(s.population * each, threads, [&](int64_t i) {
        Rows task{i / each, i % each * rows, 0};
        task.rows = std::min(rows, s.size - task.row);
        if (task.rows <= 0) return;
        auto memory = scratch(f.weights_scratch(s, task));
        if (memory) f.weights(job, task, memory.get());
        else failed = 1;
    });
    return failed;
}

// Calls task(first, last + 1, replicate's first group) for ranges of edges, numbered through all replicates.
template <typename Task>
void over_edges(const Shape& s, const Lines& lines, int64_t threads, const Task& task) {
    constexpr int64_t most = 1 << 16;
    const int64_t each = (s.nnz + most - 1) / most;
    in_parallel(s.population * each, threads, [&](int64_t i) {
        int64_t p = i / each, begin = i % each * most;
        task(p * s.nnz + begin, p * s.nnz + std::min(s.nnz, begin + most), lines.start[p * lines.blocks * s.size]);
    });
}

template <typename T>
void arrange(const Shape& s, const Lines& lines, const T* values, T* groups, int64_t threads) {
    over_edges(s, lines, threads, [&](int64_t begin, int64_t end, int64_t first) {
        for (int64_t e = begin; e < end; ++e) groups[4 * first + lines.slot[e]] = values[e];
    });
}

template <typename T>
void restore(const Shape& s, const Lines& lines, const T* groups, T* values, int64_t threads) {
    over_edges(s, lines, threads, [&](int64_t begin, int64_t end, int64_t first) {
        for (int64_t e = begin; e < end; ++e) values[e] = groups[4 * first + lines.slot[e]];
    });
}

}  // namespace

// Each returns 0, or 1 if there was not enough memory. `arranged` [groups, 4] is the caller's memory, zeros at first.
#define INTERFACE(T, SUFFIX)                                                                                           \
    int sparse_rnn_forward_##SUFFIX(const Forward* job, const T* values, T* arranged, int64_t threads) {               \
        arrange(job->shape, job->lines, values, arranged, threads);                                                    \
        ask_for_huge_pages<T>(job->shape, job->hidden);                                                                \
        return over_chunks<T>(*job, threads, functions<T>().forward);                                                  \
    }                                                                                                                  \
    int sparse_rnn_backward_##SUFFIX(const Backward* job, const T* values, T* arranged, int64_t threads) {             \
        arrange(job->shape, job->lines, values, arranged, threads);                                                    \
        ask_for_huge_pages<T>(job->shape, job->grad_pre);                                                              \
        return over_chunks<T>(*job, threads, functions<T>().backward);                                                 \
    }                                                                                                                  \
    int sparse_rnn_weights_##SUFFIX(const Weights* job, T* grad_values, int64_t threads) {                             \
        int failed = over_rows<T>(*job, threads);                                                                      \
        if (grad_values) restore(job->shape, job->lines, static_cast<const T*>(job->grad_values), grad_values, threads);   \
        return failed;                                                                                                 \
    }

#pragma GCC visibility push(default)
extern "C" {

INTERFACE(float, float)
INTERFACE(double, double)

// The instruction set in use, 0: baseline, 1: AVX2, 2: AVX-512; `limit` keeps it at that or below, for tests.
int sparse_rnn_instructions(int limit) { return instructions = std::min(best_instructions(), limit); }

// The Python side takes no library of another version.
int sparse_rnn_version() { return 4; }
}
#pragma GCC visibility pop
