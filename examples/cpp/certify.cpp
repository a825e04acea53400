// Attacks a model and prints what was found:
//
//     certify model.mimir npz:images.npz
//
// This program is quick rather than thorough: one attack on few images. For a number to rely on, leave out `attacks` and
// `first`: the whole of AutoAttack then runs on all images.
#include <cstdio>
#include <mimir.hpp>

#ifndef MIMIR_HAS_ATTACKS
#error "this libmimir_runtime was built without attacks"
#endif

static void certify(const std::string &bundle, const std::string &images) {
    mimir::Evaluation::Options options(MIMIR_NORM_LINF, 4.0 / 255);
    options.attacks("apgd-ce").first(30).write_certificate(false);
    std::string last;
    const auto progress = [&last](std::string_view stage, std::size_t, std::size_t count, std::size_t robust) {
        if (stage != last) std::fprintf(stderr, "%.*s: %zu images, %zu robust so far\n", static_cast<int>(stage.size()),
                                        stage.data(), count, robust);
        last = stage;
        return false;
    };
    const mimir::Evaluation evaluation = mimir::Evaluation::run(bundle, images, options, progress);
    const auto certificate = evaluation.certificate();
    if (!certificate) return;
    const mimir_interval attacked = certificate->attacked_accuracy();
    std::printf("attacked accuracy %.1f %% (95 %% interval %.1f to %.1f): an upper bound of the robust accuracy\n",
                100 * attacked.estimate, 100 * attacked.lower, 100 * attacked.upper);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: %s BUNDLE SCHEME:IMAGES\n", argv[0]);
        return 2;
    }
    try {
        certify(argv[1], argv[2]);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
    return 0;
}
