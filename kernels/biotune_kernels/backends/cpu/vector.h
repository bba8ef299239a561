// Vectors of `L` numbers of type T in GCC/Clang vector extensions: loads, stores, tanh, sums and transposition.
//
// Each instruction set's source file includes this once, in its own unnamed namespace. Otherwise the linker would keep
// one copy of a function, with instructions that another processor may lack. For the same reason nothing here may call
// a template or inline function of the standard library.

template <typename T, int L>
struct VectorOf {
    typedef T type __attribute__((vector_size(L * sizeof(T))));
    typedef T unaligned __attribute__((vector_size(L * sizeof(T)), aligned(alignof(T)), may_alias));
};

template <typename T>
struct BitsOf;
template <>
struct BitsOf<float> {
    typedef uint32_t type;
    static constexpr int mantissa = 23, bias = 127;
    static constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, kept in the low bits
    static constexpr float ln2_high = 0.693145751953125f, ln2_low = 1.42860682030941723212e-6f;
    static constexpr float limit = 9.1f;  // tanh is 1 from here on
    static constexpr int terms = 7;
};
template <>
struct BitsOf<double> {
    typedef uint64_t type;
    static constexpr int mantissa = 52, bias = 1023;
    static constexpr double magic = 6755399441055744.0;
    static constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
    static constexpr double limit = 20.0;
    static constexpr int terms = 14;
};

template <typename T, int L>
struct Vector {
    using V = typename VectorOf<T, L>::type;
    using Unaligned = typename VectorOf<T, L>::unaligned;
    using B = typename VectorOf<typename BitsOf<T>::type, L>::type;

    static V load(const T* from) { return *reinterpret_cast<const Unaligned*>(from); }
    static void store(T* to, V value) { *reinterpret_cast<Unaligned*>(to) = value; }
    static V all(T value) { return value - V{}; }

    static V load_some(const T* from, int64_t count) {
        V value = {};
        for (int64_t i = 0; i < count; ++i) value[i] = from[i];
        return value;
    }
    static void store_some(T* to, V value, int64_t count) {
        for (int64_t i = 0; i < count; ++i) to[i] = value[i];
    }

    // tanh x = e / (e + 2), e = exp(2x) - 1 = 2^k (exp(r) - 1) + (2^k - 1), 2x = k ln 2 + r: nothing cancels, and the
    // comparisons leave NaN as it is. `C` vectors are computed side by side: each alone would wait for its own chain of
    // operations.
    template <int C>
    static void tanh(V* x) {
        using K = BitsOf<T>;
        V rounded[C], r[C], series[C];
        for (int c = 0; c < C; ++c) {
            x[c] = x[c] > K::limit ? all(K::limit) : x[c];
            x[c] = x[c] < -K::limit ? all(-K::limit) : x[c];
            V y = x[c] + x[c];
            rounded[c] = y * T(1.44269504088896340736) + K::magic;
            V k = rounded[c] - K::magic;
            r[c] = (y - k * K::ln2_high) - k * K::ln2_low;
            series[c] = all(T(1) / factorial(K::terms));
        }
        for (int term = K::terms - 1; term >= 2; --term) {
            for (int c = 0; c < C; ++c) series[c] = series[c] * r[c] + T(1) / factorial(term);
        }
        for (int c = 0; c < C; ++c) {
            V p = series[c] * r[c] * r[c] + r[c];
            B exponent = (reinterpret_cast<B>(rounded[c]) + typename K::type(K::bias)) << K::mantissa;
            V scale = reinterpret_cast<V>(exponent);
            V e = scale * p + (scale - T(1));
            x[c] = e / (e + T(2));
        }
    }

    template <int C>
    static void relu(V* x) {
        for (int c = 0; c < C; ++c) x[c] = x[c] < T(0) ? V{} : x[c];
    }

    static constexpr T factorial(int n) { return n < 2 ? T(1) : T(n) * factorial(n - 1); }
};

template <typename T>
using Quad = typename VectorOf<T, 4>::type;

// Sums of every fourth lane.
template <typename T>
inline Quad<T> fold(typename VectorOf<T, 4>::type v) {
    return v;
}
template <typename T>
inline Quad<T> fold(typename VectorOf<T, 8>::type v) {
    return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
}
template <typename T>
inline Quad<T> fold(typename VectorOf<T, 16>::type v) {
    using Half = typename VectorOf<T, 8>::type;
    Half half = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
    return fold<T>(half);
}

// Every four lanes of the result hold parts of the sums of a, b, c and d, in this order; `fold` adds these parts up.
template <typename T>
inline typename VectorOf<T, 4>::type merge(
    typename VectorOf<T, 4>::type a, typename VectorOf<T, 4>::type b,
    typename VectorOf<T, 4>::type c, typename VectorOf<T, 4>::type d) {
    auto ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
    auto cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
    return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}
template <typename T>
inline typename VectorOf<T, 8>::type merge(
    typename VectorOf<T, 8>::type a, typename VectorOf<T, 8>::type b,
    typename VectorOf<T, 8>::type c, typename VectorOf<T, 8>::type d) {
    auto ab = __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13) +
              __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
    auto cd = __builtin_shufflevector(c, d, 0, 8, 1, 9, 4, 12, 5, 13) +
              __builtin_shufflevector(c, d, 2, 10, 3, 11, 6, 14, 7, 15);
    return __builtin_shufflevector(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13) +
           __builtin_shufflevector(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15);
}
template <typename T>
inline typename VectorOf<T, 16>::type merge(
    typename VectorOf<T, 16>::type a, typename VectorOf<T, 16>::type b,
    typename VectorOf<T, 16>::type c, typename VectorOf<T, 16>::type d) {
    auto ab = __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29) +
              __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
    auto cd = __builtin_shufflevector(c, d, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29) +
              __builtin_shufflevector(c, d, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
    return __builtin_shufflevector(ab, cd, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
           __builtin_shufflevector(ab, cd, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}

// to[row * width + column] = from[row * row_stride + column * column_stride], with zeros from `columns` to `width`.
template <typename T>
void pack(T* to, int64_t width, const T* from, int64_t row_stride, int64_t column_stride, int64_t rows, int64_t columns) {
    using Q = Vector<T, 4>;
    for (int64_t row = 0; columns < width && row < rows; ++row) {
        for (int64_t column = columns; column < width; ++column) to[row * width + column] = T(0);
    }
    int64_t row = 0;
    int64_t whole = row_stride == 1 ? rows / 4 * 4 : 0;  // rows copied by transposing 4 x 4, a cache line at a time
    constexpr int64_t line = 64 / sizeof(T);
    for (; row < whole; row += line) {
        int64_t end = row + line < whole ? row + line : whole;
        int64_t column = 0;
        for (; column + 4 <= columns; column += 4) {
            for (int64_t r = row; r < end; r += 4) {
                const T* corner = from + r + column * column_stride;
                auto a = Q::load(corner), b = Q::load(corner + column_stride);
                auto c = Q::load(corner + 2 * column_stride), d = Q::load(corner + 3 * column_stride);
                auto ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
                auto cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
                T* place = to + r * width + column;
                Q::store(place, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
                Q::store(place + width, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
                Q::store(place + 2 * width, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
                Q::store(place + 3 * width, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
            }
        }
        for (; column < columns; ++column) {
            for (int64_t r = row; r < end; ++r) to[r * width + column] = from[r + column * column_stride];
        }
    }
    for (row = whole; row < rows; ++row) {
        const T* source = from + row * row_stride;
        if (column_stride == 1) {
            for (int64_t column = 0; column < columns; ++column) to[row * width + column] = source[column];
        } else {
            for (int64_t column = 0; column < columns; ++column) to[row * width + column] = source[column * column_stride];
        }
    }
}
