// The passes for x86-64 with AVX-512.

#include "interface.h"

#define WIDTH 64
#include "passes.h"

namespace sparse_rnn {
extern const Functions avx512_float = functions<float>;
extern const Functions avx512_double = functions<double>;
}  // namespace sparse_rnn
