// Says what a model sees in a picture, if the model meets a policy:
//
//     classify policy.toml model.mimir cat.png
#include <cstdio>
#include <mimir.hpp>

#include "picture.hpp"

static void classify(const std::string &policy_file, const std::string &bundle, const std::string &path) {
    const mimir::Policy policy = mimir::Policy::from_file(policy_file);
    const mimir::Model model(bundle, policy);
    const mimir::Session session(model);
    const Rgb seen = read_png(path);
    const std::vector<float> pixels =
        model.prepare({seen.bytes.data(), seen.bytes.size(), seen.width, seen.height, 3, seen.width * 3});
    const mimir_prediction prediction = session.classify(pixels).front();
    if (prediction.class_index < 0) {
        std::printf("%s: no class, the scores are not numbers\n", path.c_str());
        return;
    }
    const auto name = model.class_name(static_cast<std::size_t>(prediction.class_index));
    std::printf("%s: %s (class %d), probability %.4f, margin %.4f\n", path.c_str(), name.value_or("unnamed").c_str(),
                static_cast<int>(prediction.class_index), static_cast<double>(prediction.probability),
                static_cast<double>(prediction.margin));
}

int main(int argc, char **argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: %s POLICY.toml BUNDLE PICTURE.png\n", argv[0]);
        return 2;
    }
    try {
        classify(argv[1], argv[2], argv[3]);
    } catch (const mimir::Error &error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        for (const std::string &requirement : error.requirements()) std::fprintf(stderr, "  not met: %s\n", requirement.c_str());
        return 1;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
    return 0;
}
