// How far a model's answer about one picture can be moved, by a change of at most 4 of the 255 levels of each value:
//
//     attack policy.toml model.mimir cat.png
#include <cstdio>
#include <mimir.hpp>

#include "picture.hpp"

#ifndef MIMIR_HAS_ATTACKS
#error "this libmimir_runtime was built without attacks"
#endif

static std::string name_of(const mimir::Model &model, std::int32_t index) {
    return model.class_name(static_cast<std::size_t>(index)).value_or("class " + std::to_string(index));
}

static void attack(const std::string &policy_file, const std::string &bundle, const std::string &path) {
    const mimir::Model model(bundle, mimir::Policy::from_file(policy_file));
    const Rgb seen = read_png(path);
    const std::vector<float> pixels =
        model.prepare({seen.bytes.data(), seen.bytes.size(), seen.width, seen.height, 3, seen.width * 3});
    const std::int32_t label = mimir::Session(model).classify(pixels).front().class_index;
    if (label < 0) throw std::runtime_error(path + ": no class, the scores are not numbers");

    mimir::Evaluation::Options options(MIMIR_NORM_LINF, 4.0 / 255);
    options.attacks("apgd-ce,apgd-t");
    const mimir::Evaluation found =
        mimir::Evaluation::attack(bundle, pixels, {static_cast<std::uint32_t>(label)}, options);
    if (found.verdict(0) != MIMIR_VERDICT_BROKEN) {
        std::printf("%s: still %s after the attacks, which is no proof\n", path.c_str(), name_of(model, label).c_str());
        return;
    }
    // The picture that does it, as it would be given to the model again.
    const std::vector<float> perturbed = found.perturbed(0);
    std::printf("%s: %s becomes %s at a distance of %.4f (%s, %zu values)\n", path.c_str(), name_of(model, label).c_str(),
                name_of(model, found.perturbed_class(0)).c_str(), found.distance(0), found.attack_name(0)->c_str(),
                perturbed.size());
}

int main(int argc, char **argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: %s POLICY.toml BUNDLE PICTURE.png\n", argv[0]);
        return 2;
    }
    try {
        attack(argv[1], argv[2], argv[3]);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
    return 0;
}
