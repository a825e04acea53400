/* Wrong sizes, values out of range, calls in a wrong order: an error each, and nothing else happens. arguments BUNDLE */
#include "check.h"

#define REFUSED(call) FAILS(call, MIMIR_ERROR_INVALID_ARGUMENT)

static void policies(const char *bundle) {
    mimir_policy *policy = mimir_policy_new();
    mimir_model *model = NULL;
    /* Nothing is required yet. */
    REFUSED(mimir_model_load(bundle, policy, &model));
    /* Before a ball, what is asked of its certificate. */
    REFUSED(mimir_policy_require_attacked_accuracy(policy, 0.1, MIMIR_COMPARED_LOWER));
    REFUSED(mimir_policy_require_clean_accuracy(policy, 0.1));
    REFUSED(mimir_policy_require_preset(policy, "standard"));
    REFUSED(mimir_policy_require_attack(policy, "square"));
    REFUSED(mimir_policy_require_samples(policy, 1));
    REFUSED(mimir_policy_require_max_age(policy, 1));
    REFUSED(mimir_policy_deny_warnings(policy));
    REFUSED(mimir_policy_require_signatures(policy, 1));
    const double radii[] = {0.0, -1.0, NAN, INFINITY};
    for (size_t index = 0; index < sizeof radii / sizeof *radii; index++)
        REFUSED(mimir_policy_require_ball(policy, MIMIR_NORM_LINF, radii[index]));
    REFUSED(mimir_policy_require_ball(policy, 0, 0.1));
    REFUSED(mimir_policy_require_ball(policy, 4, 0.1));
    OK(mimir_policy_require_ball(policy, MIMIR_NORM_L2, 0.1));
    REFUSED(mimir_policy_require_attacked_accuracy(policy, 1.5, MIMIR_COMPARED_LOWER));
    REFUSED(mimir_policy_require_attacked_accuracy(policy, NAN, MIMIR_COMPARED_LOWER));
    REFUSED(mimir_policy_require_attacked_accuracy(policy, 0.5, 3));
    REFUSED(mimir_policy_require_preset(policy, "standrad"));
    REFUSED(mimir_policy_require_attack(policy, "standard"));
    REFUSED(mimir_policy_require_samples(policy, 0));
    REFUSED(mimir_policy_require_digest(policy, "12ab"));
    REFUSED(mimir_policy_trust_key(policy, "no key", 6));
    REFUSED(mimir_policy_trust_key(policy, "\xff\xfe", 2));
    /* An accuracy without attacks says nothing. */
    OK(mimir_policy_require_attacked_accuracy(policy, 0.5, MIMIR_COMPARED_LOWER));
    REFUSED(mimir_model_load(bundle, policy, &model));
    mimir_policy_delete(policy);

    policy = mimir_policy_allow_anything();
    REFUSED(mimir_policy_require_ball(policy, MIMIR_NORM_LINF, 0.1));
    REFUSED(mimir_policy_require_digest(policy, "12ab"));
    FAILS(mimir_model_load("/nonexistent", policy, &model), MIMIR_ERROR_IO);
    REFUSED(mimir_model_load("", policy, &model));
    REFUSED(mimir_model_load("\xff", policy, &model));
    FAILS(mimir_model_load_memory((const uint8_t *)"PK", 2, policy, &model), MIMIR_ERROR_FORMAT);
    mimir_policy_delete(policy);
    CHECK(model == NULL);

    mimir_policy *out = NULL;
    REFUSED(mimir_policy_from_file("/nonexistent", &out));
    REFUSED(mimir_policy_from_text("version = 2", 11, &out));
    REFUSED(mimir_policy_from_text("version = 1\n[signature]\ntrusted = [\"a.pub\"]", 44, &out));
    REFUSED(mimir_policy_from_text("version = 1\nversoin = 1", 23, &out));
    CHECK(out == NULL);
}

static void options(const mimir_model *model) {
    mimir_session_options *options = mimir_session_options_new();
    REFUSED(mimir_session_options_set_engine(options, 0));
    REFUSED(mimir_session_options_set_engine(options, 4));
    REFUSED(mimir_session_options_set_device(options, "gpu"));
    REFUSED(mimir_session_options_set_threads(options, 0));
    REFUSED(mimir_session_options_set_threads(options, SIZE_MAX));
    REFUSED(mimir_session_options_set_workers(options, 0));
    REFUSED(mimir_session_options_set_batching(options, 3));
    REFUSED(mimir_session_options_set_max_batch(options, 0));
    REFUSED(mimir_session_options_set_max_batch(options, SIZE_MAX));
    mimir_session *session = NULL;
    /* A bundle without certificate has no certified batch. */
    OK(mimir_session_options_set_batching(options, MIMIR_BATCHING_CERTIFIED));
    if (mimir_model_certificate_count(model) == 0) REFUSED(mimir_session_new(model, options, &session));
    OK(mimir_session_options_set_batching(options, MIMIR_BATCHING_DYNAMIC));
    OK(mimir_session_options_set_memory_limit(options, 1000));
    FAILS(mimir_session_new(model, options, &session), MIMIR_ERROR_LIMIT);
    OK(mimir_session_options_set_memory_limit(options, 0));
    OK(mimir_session_options_set_engine(options, MIMIR_ENGINE_RTEN));
    OK(mimir_session_options_set_device(options, "cuda:0"));
    FAILS(mimir_session_new(model, options, &session), MIMIR_ERROR_UNSUPPORTED);
    CHECK(session == NULL);
    mimir_session_options_delete(options);
}

static void lengths(const mimir_session *session, const mimir_model *model) {
    const size_t length = mimir_model_input_len(model), classes = mimir_model_class_count(model);
    float *pixels = some_pixels(2 * length + 1), *logits = malloc(2 * classes * sizeof *logits);
    mimir_prediction predictions[2];
    REFUSED(mimir_session_logits(session, pixels, length, 0, NULL, logits, classes));
    REFUSED(mimir_session_logits(session, pixels, 0, 0, NULL, logits, 0));
    REFUSED(mimir_session_logits(session, pixels, length, 2, NULL, logits, 2 * classes));
    REFUSED(mimir_session_logits(session, pixels, length - 1, 1, NULL, logits, classes));
    REFUSED(mimir_session_logits(session, pixels, length, 1, NULL, logits, classes + 1));
    REFUSED(mimir_session_logits(session, pixels, length, SIZE_MAX, NULL, logits, classes));
    /* batch * length overflows to what was given. */
    REFUSED(mimir_session_logits(session, pixels, length, SIZE_MAX / length + 2, NULL, logits, classes));
    REFUSED(mimir_session_logits(session, pixels, SIZE_MAX, SIZE_MAX, NULL, logits, SIZE_MAX));
    REFUSED(mimir_session_classify(session, pixels, length, 1, NULL, 0.0f, predictions, 2));
    REFUSED(mimir_session_classify(session, pixels, length, 1, NULL, -1.0f, predictions, 1));
    REFUSED(mimir_session_classify(session, pixels, length, 1, NULL, NAN, predictions, 1));
    REFUSED(mimir_session_features(session, 0, pixels, length, 1, NULL, logits, classes));
    /* Alignment. */
    const float *askew = (const float *)((const char *)pixels + 1);
    REFUSED(mimir_session_logits(session, askew, length, 1, NULL, logits, classes));
    REFUSED(mimir_session_logits(session, pixels, length, 1, NULL, (float *)((char *)logits + 2), classes));
    /* Overlap. */
    REFUSED(mimir_session_logits(session, pixels, length, 1, NULL, pixels + length - 1, classes));
    size_t needed = 0;
    REFUSED(mimir_session_profile_json(session, NULL, 0, &needed));
    free(pixels);
    free(logits);
}

static void pixels_in_range(const mimir_session *session, const mimir_model *model) {
    const size_t length = mimir_model_input_len(model), classes = mimir_model_class_count(model);
    float *pixels = some_pixels(length), *logits = malloc(classes * sizeof *logits);
    const float wrong[] = {NAN, INFINITY, -INFINITY, -0.001f, 1.001f, 255.0f};
    for (size_t index = 0; index < sizeof wrong / sizeof *wrong; index++) {
        pixels[length - 1] = wrong[index];
        mimir_error *error = mimir_session_logits(session, pixels, length, 1, NULL, logits, classes);
        char place[64];
        snprintf(place, sizeof place, "value %zu (image 0)", length - 1);
        CHECK(strstr(mimir_error_message(error), place) != NULL);
        FAILS(error, MIMIR_ERROR_INVALID_ARGUMENT);
    }
    pixels[length - 1] = -0.0f;
    OK(mimir_session_logits(session, pixels, length, 1, NULL, logits, classes));
    free(pixels);
    free(logits);
}

static void pictures(const mimir_model *model) {
    const size_t length = mimir_model_input_len(model);
    uint8_t bytes[32 * 32 * 4] = {0};
    float *pixels = some_pixels(length);
    REFUSED(mimir_model_prepare(model, bytes, sizeof bytes, 32, 32, 2, 128, pixels, length));
    REFUSED(mimir_model_prepare(model, bytes, sizeof bytes, 0, 32, 3, 128, pixels, length));
    REFUSED(mimir_model_prepare(model, bytes, sizeof bytes, 32, 0, 3, 128, pixels, length));
    REFUSED(mimir_model_prepare(model, bytes, sizeof bytes, 32, 32, 3, 95, pixels, length));
    REFUSED(mimir_model_prepare(model, bytes, 31 * 128 + 95, 32, 32, 3, 128, pixels, length));
    REFUSED(mimir_model_prepare(model, bytes, sizeof bytes, SIZE_MAX / 2, 32, 4, SIZE_MAX, pixels, length));
    REFUSED(mimir_model_prepare(model, bytes, sizeof bytes, 32, SIZE_MAX, 3, 128, pixels, length));
    REFUSED(mimir_model_prepare(model, bytes, sizeof bytes, 32, 32, 3, SIZE_MAX / 16, pixels, length));
    REFUSED(mimir_model_prepare(model, bytes, sizeof bytes, 32, 32, 3, 128, pixels, length - 1));
    REFUSED(mimir_model_prepare(model, (uint8_t *)pixels, 32 * 32 * 3, 32, 32, 3, 96, pixels, length));
    OK(mimir_model_prepare(model, bytes, 31 * 128 + 96, 32, 32, 3, 128, pixels, length));
    size_t shape[4];
    REFUSED(mimir_model_input_shape(model, shape, 4));
    free(pixels);
}

#ifdef MIMIR_HAS_ATTACKS
static void evaluations(const char *bundle) {
    mimir_certify_options *options = NULL;
    mimir_evaluation *evaluation = NULL;
    REFUSED(mimir_certify_options_new(0, 0.1, &options));
    REFUSED(mimir_certify_options_new(MIMIR_NORM_LINF, 8.0, &options));
    REFUSED(mimir_certify_options_new(MIMIR_NORM_LINF, NAN, &options));
    OK(mimir_certify_options_new(MIMIR_NORM_LINF, 0.1, &options));
    REFUSED(mimir_certify_options_set_attacks(options, "apdg-ce"));
    REFUSED(mimir_certify_options_set_device(options, "gpu:0"));
    REFUSED(mimir_certify(bundle, "no scheme", options, NULL, NULL, &evaluation));
    REFUSED(mimir_certify(bundle, "npz:/nonexistent", options, NULL, NULL, &evaluation));
    CHECK(evaluation == NULL);
    mimir_certify_options_delete(options);
}
#endif

int main(int argc, char **argv) {
    CHECK(argc == 2);
    policies(argv[1]);
    mimir_model *model = load_anything(argv[1]);
    options(model);
    mimir_session *session = NULL;
    OK(mimir_session_new(model, NULL, &session));
    lengths(session, model);
    pixels_in_range(session, model);
    pictures(model);
#ifdef MIMIR_HAS_ATTACKS
    evaluations(argv[1]);
#endif
    mimir_session_delete(session);
    mimir_model_delete(model);
    return 0;
}
