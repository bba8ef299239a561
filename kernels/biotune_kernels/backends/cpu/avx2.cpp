// The passes for x86-64 with AVX2 and FMA.

#include "interface.h"

#define WIDTH 32
#include "passes.h"

namespace sparse_rnn {
extern const Functions avx2_float = functions<float>;
extern const Functions avx2_double = functions<double>;
}  // namespace sparse_rnn
