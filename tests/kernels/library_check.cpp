// Checks the C++ library against plain loops, without Python, so that it also runs in an emulator of another processor.
// See test_library.py, which builds and runs it.

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "../../kernels/biotune_kernels/backends/cpu/interface.h"

using namespace sparse_rnn;

extern "C" {
int sparse_rnn_forward_float(const Forward*, const float*, float*, int64_t);
int sparse_rnn_forward_double(const Forward*, const double*, double*, int64_t);
int sparse_rnn_backward_float(const Backward*, const float*, float*, int64_t);
int sparse_rnn_backward_double(const Backward*, const double*, double*, int64_t);
int sparse_rnn_weights_float(const Weights*, float*, int64_t);
int sparse_rnn_weights_double(const Weights*, double*, int64_t);
}

static int forward(const Forward* j, const float* v, float* a) { return sparse_rnn_forward_float(j, v, a, 2); }
static int forward(const Forward* j, const double* v, double* a) { return sparse_rnn_forward_double(j, v, a, 2); }
static int backward(const Backward* j, const float* v, float* a) { return sparse_rnn_backward_float(j, v, a, 2); }
static int backward(const Backward* j, const double* v, double* a) { return sparse_rnn_backward_double(j, v, a, 2); }
static int weights(const Weights* j, float* v) { return sparse_rnn_weights_float(j, v, 2); }
static int weights(const Weights* j, double* v) { return sparse_rnn_weights_double(j, v, 2); }

struct Layout {
    std::vector<uint16_t> other;
    std::vector<int32_t> slot;
    std::vector<int64_t> start{0};
    Lines lines;
};

// The edges (line, other end) of one network in blocks and groups, as layout.py puts them.
static void lay_out(Layout& to, const std::vector<int>& line, const std::vector<int>& other, int size, int block, int fill) {
    int blocks = (size + block - 1) / block;
    to.slot.resize(line.size());
    for (int b = 0; b < blocks; ++b) {
        for (int i = 0; i < size; ++i) {
            for (size_t e = 0; e < line.size(); ++e) {
                if (line[e] == i && other[e] / block == b) to.slot[e] = to.other.size(), to.other.push_back(other[e] % block);
            }
            while (to.other.size() % 4) to.other.push_back(fill);
            to.start.push_back(to.other.size() / 4);
        }
    }
    to.lines = {to.other.data(), to.slot.data(), to.start.data(), blocks, block};
}

template <typename T>
static double check(int n, double density, int batch, int time, int inputs, int block, bool relu) {
    std::mt19937 random(1);
    std::normal_distribution<double> normal;
    std::vector<int> target, source;
    for (int i = 0; i < n * n; ++i) {
        if (random() % 1000 < density * 1000) target.push_back(i / n), source.push_back(i % n);
    }
    size_t nnz = target.size();
    auto draw = [&](size_t count, double scale) {
        std::vector<T> v(count);
        for (T& x : v) x = T(normal(random) * scale);
        return v;
    };
    auto v = draw(nnz, 0.3), w = draw(n * inputs, 1), b = draw(n, 1), x = draw(time * inputs * batch, 1), g = draw(time * n * batch, 1);
    std::vector<T> h(time * n * batch), grad_pre(h.size()), gv(nnz), gw(n * inputs), gb(n);
    const int first = relu ? 0 : 2;  // step that the loss depends on
    Shape shape = {1, n, int64_t(nnz), batch, time, inputs, relu};
    Layout rows, columns, sums;
    lay_out(rows, target, source, n, block, block);
    lay_out(columns, source, target, n, block, block);
    lay_out(sums, target, source, n, block, 0);
    std::vector<T> arranged(rows.other.size()), arranged_columns(columns.other.size()), grouped(sums.other.size());
    Strided sequence = {x.data(), inputs * batch, 0, batch, 1};
    Forward f = {shape, rows.lines, arranged.data(), w.data(), b.data(), sequence, {}, h.data()};
    Backward back = {shape, columns.lines, arranged_columns.data(), h.data(), {g.data() + first * n, n, 0, 1, int64_t(time) * n}, time - first, grad_pre.data(), nullptr};
    Weights sum = {shape, sums.lines, h.data(), grad_pre.data(), sequence, nullptr, grouped.data(), gw.data(), gb.data()};
    if (forward(&f, v.data(), arranged.data()) || backward(&back, v.data(), arranged_columns.data()) || weights(&sum, gv.data())) return 1e9;

    double worst = 0;
    auto compare = [&](T found, double expected) {
        double error = std::fabs(found - expected) / (1 + std::fabs(expected));
        if (!(error <= worst)) worst = error;
    };
    std::vector<double> eh(h.size()), ed(h.size()), egv(nnz), egw(n * inputs), egb(n);
    for (int t = 0; t < time; ++t) {
        for (int k = 0; k < batch; ++k) {
            std::vector<double> pre(b.begin(), b.end());
            for (int i = 0; i < n * inputs; ++i) pre[i / inputs] += double(w[i]) * x[(t * inputs + i % inputs) * batch + k];
            for (size_t e = 0; t && e < nnz; ++e) pre[target[e]] += v[e] * eh[((t - 1) * n + source[e]) * batch + k];
            for (int i = 0; i < n; ++i) eh[(t * n + i) * batch + k] = relu ? std::fmax(pre[i], 0) : std::tanh(pre[i]);
        }
    }
    for (int t = time - 1; t >= 0; --t) {
        for (int k = 0; k < batch; ++k) {
            std::vector<double> total(n);
            for (int i = 0; i < n; ++i) total[i] = t < first ? 0 : g[(k * time + t) * n + i];
            for (size_t e = 0; t < time - 1 && e < nnz; ++e) total[source[e]] += v[e] * ed[((t + 1) * n + target[e]) * batch + k];
            for (int i = 0; i < n; ++i) {
                double s = eh[(t * n + i) * batch + k], d = total[i] * (relu ? s > 0 : 1 - s * s);
                ed[(t * n + i) * batch + k] = d, egb[i] += d;
                for (int j = 0; j < inputs; ++j) egw[i * inputs + j] += d * x[(t * inputs + j) * batch + k];
            }
            for (size_t e = 0; t && e < nnz; ++e) egv[e] += ed[(t * n + target[e]) * batch + k] * eh[((t - 1) * n + source[e]) * batch + k];
        }
    }
    for (size_t i = 0; i < h.size(); ++i) compare(h[i], eh[i]), compare(grad_pre[i], ed[i]);
    for (size_t i = 0; i < nnz; ++i) compare(gv[i], egv[i]);
    for (int i = 0; i < n * inputs; ++i) compare(gw[i], egw[i]);
    for (int i = 0; i < n; ++i) compare(gb[i], egb[i]);
    return worst;
}

int main() {
    bool good = true;
    for (int batch : {1, 5, 16, 40, 100}) {
        for (int block : {17, 63}) {
            for (bool relu : {false, true}) {
                double single = check<float>(63, 0.2, batch, 4, 3, block, relu), both = check<double>(63, 0.2, batch, 4, 3, block, relu);
                bool passed = single < 2e-5 && both < 1e-12;
                std::printf("batch %3d block %2d %s: float %.1e double %.1e%s\n", batch, block, relu ? "relu" : "tanh", single, both, passed ? "" : "  FAILED");
                good = good && passed;
            }
        }
    }
    return good ? 0 : 1;
}
