// Writes train/tests/fixtures/pth/libtorch.pth by libtorch's own pickler (torch::pickle_save, which torch.load reads).
//
//     g++ -std=c++17 -O0 -I$LIBTORCH/include -I$LIBTORCH/include/torch/csrc/api/include scripts/reference/pth_fixture.cpp \
//         -L$LIBTORCH/lib -ltorch -ltorch_cpu -lc10 -Wl,-rpath,$LIBTORCH/lib -o /tmp/pth_fixture && /tmp/pth_fixture FILE
#include <fstream>
#include <torch/torch.h>

int main(int count, char** arguments) {
    if (count != 2) return 2;
    auto numbers = [](int count) { return torch::arange(count, torch::kFloat32) / 4; };
    // A tuple: libtorch tags dictionaries with their type, which torch.save does not.
    const auto tensors = c10::ivalue::Tuple::create({
        (numbers(4) - 1).reshape({1, 1, 4}),
        torch::arange(12, torch::kFloat32).narrow(0, 8, 4),
        torch::arange(6, torch::kFloat32).reshape({3, 2}).t(),
        numbers(2).to(torch::kHalf),
    });
    const std::vector<char> bytes = torch::pickle_save(tensors);
    std::ofstream(arguments[1], std::ios::binary).write(bytes.data(), bytes.size());
    return 0;
}
