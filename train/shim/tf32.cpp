// The switch for TensorFloat-32 products, which tch does not wrap.

#include <ATen/Context.h>

extern "C" void mimir_allow_tf32(bool allow) {
    at::globalContext().setAllowTF32CuBLAS(allow);
    at::globalContext().setAllowTF32CuDNN(allow);
}

extern "C" bool mimir_tf32_is_allowed() {
    return at::globalContext().allowTF32CuBLAS();
}
