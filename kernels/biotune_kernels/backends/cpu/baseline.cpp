// The passes for any processor (SSE2 on x86-64, NEON on arm64).

#include "interface.h"

#define WIDTH 16
#include "passes.h"

namespace sparse_rnn {
extern const Functions baseline_float = functions<float>;
extern const Functions baseline_double = functions<double>;
}  // namespace sparse_rnn
