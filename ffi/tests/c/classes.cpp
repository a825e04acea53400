// The classes of mimir.hpp. classes CERTIFIED.mimir IMAGES.npz
#include "mimir.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <type_traits>

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);   \
            std::exit(1);                                                                  \
        }                                                                                  \
    } while (0)

static_assert(std::is_copy_constructible_v<mimir::Model> && std::is_copy_constructible_v<mimir::Policy>);
static_assert(!std::is_copy_constructible_v<mimir::Session> && std::is_nothrow_move_constructible_v<mimir::Session>);
static_assert(!std::is_copy_constructible_v<mimir::Certificate> && std::is_nothrow_move_assignable_v<mimir::Model>);

template <typename Call>
static mimir::Error caught(Call call) {
    try {
        call();
    } catch (const mimir::Error &error) {
        return error;
    }
    CHECK(!"an error");
    std::abort();
}

static void refusals(const std::string &bundle) {
    mimir::Policy policy;
    policy.require_ball(MIMIR_NORM_LINF, 8.0 / 255).require_preset("standard").require_samples(1000);
    const mimir::Error error = caught([&] { mimir::Model(bundle, policy); });
    CHECK(error.code() == MIMIR_ERROR_POLICY && error.requirements().size() >= 2);
    CHECK(error.requirements().front().find("wanted") != std::string::npos);
    const mimir::Error missing = caught([] { mimir::Policy::from_file("/nonexistent"); });
    CHECK(missing.code() == MIMIR_ERROR_INVALID_ARGUMENT && missing.requirements().empty());
    CHECK(caught([&] { mimir::Policy(policy).require_samples(0); }).code() == MIMIR_ERROR_INVALID_ARGUMENT);
    CHECK(caught([&] { mimir::Model("/nonexistent", mimir::Policy::allow_anything()); }).code() == MIMIR_ERROR_IO);
}

static void predictions(const mimir::Model &model) {
    std::atomic<int> messages{0};
    mimir::SessionOptions options;
    options.batching(MIMIR_BATCHING_CERTIFIED).features(true).workers(2).logger(
        MIMIR_LOG_DEBUG, [&messages](mimir_log_level, std::string_view) { ++messages; });
    mimir::Session made(model, options);
    const mimir::Session session = std::move(made);
    CHECK(session.fixed_batch() == model.certificates().at(0).batch() && messages > 0);
    std::vector<float> pixels(3 * model.input_size(), 0.5F);
    const std::vector<float> logits = session.logits(pixels);
    CHECK(logits.size() == 3 * model.class_count());
    CHECK(session.features(0, pixels).size() == 3 * model.feature_size(0));
    std::vector<std::thread> threads;
    for (int number = 0; number < 4; ++number)
        threads.emplace_back([&] { CHECK(session.logits(pixels) == logits); });
    for (std::thread &thread : threads) thread.join();
    const std::vector<mimir_prediction> known = session.classify(pixels, 1e6F);
    CHECK(known.size() == 3 && known[0].abstained == 1 && known[0].class_index >= 0);

    std::vector<float> later(logits.size());
    std::atomic<bool> failed{false};
    const mimir::Request request =
        session.logits_async(pixels.data(), pixels.size(), later.data(), later.size(),
                             [&failed](const std::optional<mimir::Error> &error) { failed = error.has_value(); });
    CHECK(request.wait() && !failed && later == logits);
    mimir::Limits limits;
    limits.cancel();
    CHECK(caught([&] { session.logits(pixels, &limits); }).code() == MIMIR_ERROR_CANCELLED);
    pixels.push_back(0.5F);
    CHECK(caught([&] { session.logits(pixels); }).code() == MIMIR_ERROR_INVALID_ARGUMENT);
}

static void facts(const mimir::Model &model) {
    const mimir::Shape shape = model.input_shape();
    CHECK(shape.channels == 3 && shape.height == 24 && shape.width == 24);
    CHECK(model.class_name(1) == "one" && !model.class_name(6) && model.digest().size() == 64);
    CHECK(model.feature_name(0) == "features" && model.manifest_json().front() == '{');
    const std::vector<mimir::Certificate> certificates = model.certificates();
    CHECK(certificates.size() == 1 && certificates[0].norm() == MIMIR_NORM_LINF);
    CHECK(certificates[0].attacks() == std::vector<std::string>{"fgsm"});
    CHECK(certificates[0].attacked_accuracy().upper <= 1.0 && certificates[0].to_json().back() == '}');
    const std::vector<std::uint8_t> bytes(24 * 24 * 3, 255);
    CHECK(model.prepare({bytes.data(), bytes.size(), 24, 24, 3, 24 * 3}) == std::vector<float>(24 * 24 * 3, 1.0F));
}

#ifdef MIMIR_HAS_ATTACKS
static void evaluations(const std::string &bundle, const std::string &images) {
    mimir::Evaluation::Options options(MIMIR_NORM_LINF, 4.0 / 255);
    options.attacks("fgsm,pgd").first(8).seed(3);
    std::atomic<int> calls{0};
    const mimir::Evaluation evaluation = mimir::Evaluation::run(
        bundle, "npz:" + images, options, [&calls](std::string_view, std::size_t, std::size_t, std::size_t) {
            ++calls;
            return false;
        });
    CHECK(calls > 0 && evaluation.certificate()->sample_count() == 8 && evaluation.certificate()->attacks().size() == 2);
    CHECK(evaluation.report_json().front() == '{' && !evaluation.summary().empty());
    const mimir::Error cancelled = caught([&] {
        mimir::Evaluation::run(bundle, "npz:" + images, options,
                               [](std::string_view, std::size_t, std::size_t, std::size_t) { return true; });
    });
    CHECK(cancelled.code() == MIMIR_ERROR_CANCELLED);
    CHECK(evaluation.image_count() == 8 && evaluation.verdict(8) == 0);
    CHECK(caught([&] { evaluation.perturbed(0); }).code() == MIMIR_ERROR_INVALID_ARGUMENT);
}

static void attacks(const std::string &bundle, const mimir::Model &model) {
    const mimir::Session session(model);
    std::vector<float> pixels(4 * model.input_size());
    for (std::size_t index = 0; index < pixels.size(); ++index) pixels[index] = static_cast<float>(index * 7919 % 1000) / 1000.0F;
    std::vector<std::uint32_t> labels;
    for (const mimir_prediction &prediction : session.classify(pixels))
        labels.push_back(static_cast<std::uint32_t>(prediction.class_index));
    mimir::Evaluation::Options options(MIMIR_NORM_LINF, 32.0 / 255);
    options.attacks("apgd-ce");
    const mimir::Evaluation evaluation = mimir::Evaluation::attack(bundle, pixels, labels, options);
    CHECK(evaluation.image_count() == labels.size());
    for (std::size_t image = 0; image < labels.size(); ++image) {
        CHECK(evaluation.verdict(image) == MIMIR_VERDICT_BROKEN && evaluation.attack_name(image) == "apgd-ce");
        CHECK(evaluation.clean_class(image) == static_cast<std::int32_t>(labels[image]));
        CHECK(evaluation.distance(image) > 0);
        const mimir_prediction found = session.classify(evaluation.perturbed(image)).at(0);
        CHECK(found.class_index == evaluation.perturbed_class(image) && found.class_index != evaluation.clean_class(image));
    }
    labels.pop_back();
    const mimir::Error error = caught([&] { mimir::Evaluation::attack(bundle, pixels, labels, options); });
    CHECK(error.code() == MIMIR_ERROR_INVALID_ARGUMENT);
}
#endif

int main(int argc, char **argv) {
    CHECK(argc == 3 && mimir::version() == MIMIR_VERSION && mimir::build_info().front() == '{');
    mimir::load_onnxruntime();
    refusals(argv[1]);
    mimir::Policy policy = mimir::Policy::from_text("version = 1\n[[evaluation]]\nnorm = \"linf\"\nmin_epsilon = \"4/255\"");
    mimir::Model first(argv[1], policy);
    mimir::Model model = first;
    first = mimir::Model(std::move(model));
    facts(first);
    predictions(first);
#ifdef MIMIR_HAS_ATTACKS
    evaluations(argv[1], argv[2]);
    attacks(argv[1], first);
#endif
    return 0;
}
