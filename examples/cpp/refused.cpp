// A model that is refused, and why:
//
//     refused model.mimir
//
// The policy is written in the program. It asks for more than most models have shown; what is missing is printed, and the exit
// code is 0 where the model was refused.
#include <cstdio>
#include <mimir.hpp>

static mimir::Policy strict() {
    mimir::Policy policy;
    policy.require_ball(MIMIR_NORM_LINF, 8.0 / 255)
        .require_preset("standard")
        .require_attacked_accuracy(0.70, MIMIR_COMPARED_LOWER)
        .require_samples(10000)
        .require_max_age(180ULL * 24 * 3600)
        .deny_warnings();
    return policy;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s BUNDLE\n", argv[0]);
        return 2;
    }
    try {
        const mimir::Model model(std::string(argv[1]), strict());
        std::printf("%s meets the policy\n", argv[1]);
        return 1;
    } catch (const mimir::Error &error) {
        std::printf("refused: %s\n", error.what());
        for (const std::string &requirement : error.requirements()) std::printf("  not met: %s\n", requirement.c_str());
        return error.code() == MIMIR_ERROR_POLICY ? 0 : 1;
    }
}
