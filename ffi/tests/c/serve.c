/* From a bundle to predictions. serve CERTIFIED.mimir POLICY STRICTER_POLICY */
#include "check.h"

static void versions(void) {
    CHECK(strcmp(mimir_version(), MIMIR_VERSION) == 0 && mimir_abi_version() == MIMIR_ABI_VERSION);
    char *text;
    size_t needed = 0;
    OK(mimir_onnxruntime_load(NULL));
    OK(mimir_build_info(NULL, 0, &needed));
    text = malloc(needed);
    OK(mimir_build_info(text, needed, &needed));
    CHECK(strstr(text, "\"onnxruntime\":{\"path\":\"/") != NULL && strstr(text, "\"version\":\"1.") != NULL);
    free(text);
    FAILS(mimir_onnxruntime_load("/elsewhere/libonnxruntime.so.1"), MIMIR_ERROR_ENGINE);
}

/* A model that does not meet its policy is no model, and every requirement that it misses is told. */
static void refusal(const char *bundle, const char *stricter) {
    mimir_policy *policy = NULL;
    mimir_model *model = NULL;
    OK(mimir_policy_from_file(stricter, &policy));
    mimir_error *error = mimir_model_load(bundle, policy, &model);
    CHECK(model == NULL && mimir_error_code(error) == MIMIR_ERROR_POLICY);
    CHECK(mimir_error_requirement_count(error) >= 1);
    for (size_t index = 0; index < mimir_error_requirement_count(error); index++) {
        const char *requirement = mimir_error_requirement(error, index);
        CHECK(strstr(requirement, "wanted ") != NULL && strstr(requirement, "found ") != NULL);
        CHECK(strstr(mimir_error_message(error), strstr(requirement, "wanted ")) != NULL);
    }
    CHECK(mimir_error_requirement(error, mimir_error_requirement_count(error)) == NULL);
    mimir_error_delete(error);
    mimir_policy_delete(policy);
}

/* The same policy, made by calls. */
static void built(const char *bundle, const char *digest) {
    mimir_policy *policy = mimir_policy_new();
    mimir_model *model = NULL;
    OK(mimir_policy_require_digest(policy, digest));
    OK(mimir_policy_require_ball(policy, MIMIR_NORM_LINF, 1.0 / 255));
    OK(mimir_policy_require_attack(policy, "fgsm"));
    OK(mimir_policy_require_attacked_accuracy(policy, 0.0, MIMIR_COMPARED_ESTIMATE));
    OK(mimir_policy_require_clean_accuracy(policy, 0.0));
    OK(mimir_policy_require_samples(policy, 8));
    OK(mimir_policy_require_max_age(policy, 3600));
    mimir_policy *copy = mimir_policy_clone(policy);
    OK(mimir_model_load(bundle, policy, &model));
    mimir_model_delete(model);
    model = NULL;
    OK(mimir_policy_require_samples(copy, 9));
    FAILS(mimir_model_load(bundle, copy, &model), MIMIR_ERROR_POLICY);
    mimir_policy_delete(copy);
    mimir_policy_delete(policy);
}

static void facts(const mimir_model *model) {
    size_t shape[3] = {0};
    OK(mimir_model_input_shape(model, shape, 3));
    CHECK(shape[0] == 3 && shape[1] == 24 && shape[2] == 24);
    CHECK(mimir_model_input_len(model) == 3 * 24 * 24 && mimir_model_class_count(model) == 6);
    CHECK(strcmp(mimir_model_class_name(model, 0), "zero") == 0 && mimir_model_class_name(model, 6) == NULL);
    CHECK(strlen(mimir_model_digest(model)) == 64);
    CHECK(mimir_model_feature_count(model) == 1 && mimir_model_feature_len(model, 0) == 288);
    CHECK(strcmp(mimir_model_feature_name(model, 0), "features") == 0 && mimir_model_feature_name(model, 1) == NULL);
    char *manifest;
    TEXT(manifest, mimir_model_manifest_json, model);
    CHECK(strstr(manifest, "\"format\":\"mimir-bundle\"") != NULL);
    free(manifest);
}

static void certificate(const mimir_model *model) {
    CHECK(mimir_model_certificate_count(model) == 1 && mimir_model_certificate(model, 1) == NULL);
    const mimir_certificate *known = mimir_model_certificate(model, 0);
    CHECK(mimir_certificate_norm(known) == MIMIR_NORM_LINF && mimir_certificate_epsilon(known) == 4.0 / 255);
    CHECK(mimir_certificate_sample_count(known) == 8 && mimir_certificate_batch(known) >= 2);
    CHECK(mimir_certificate_attack_count(known) == 1 && strcmp(mimir_certificate_attack_name(known, 0), "fgsm") == 0);
    CHECK(mimir_certificate_attack_name(known, 1) == NULL);
    CHECK(strcmp(mimir_certificate_engine(known), "onnxruntime") == 0);
    CHECK(mimir_certificate_engine_version(known)[0] == '1' && mimir_certificate_created_at(known)[0] == '2');
    mimir_interval clean, attacked;
    OK(mimir_certificate_clean_accuracy(known, &clean));
    OK(mimir_certificate_attacked_accuracy(known, &attacked));
    CHECK(clean.lower <= clean.estimate && clean.estimate <= clean.upper && clean.confidence == 0.95);
    CHECK(attacked.estimate <= clean.estimate);
    mimir_certificate *copy = mimir_certificate_clone(known);
    char *json;
    TEXT(json, mimir_certificate_to_json, copy);
    CHECK(strstr(json, "\"threat_model\"") != NULL);
    free(json);
    mimir_certificate_delete(copy);
}

static size_t largest(const float *row, size_t count) {
    size_t best = 0;
    for (size_t index = 1; index < count; index++)
        if (row[index] > row[best]) best = index;
    return best;
}

static void predictions(const mimir_model *model, const mimir_session *session) {
    enum { BATCH = 5 };
    const size_t length = mimir_model_input_len(model), classes = mimir_model_class_count(model);
    float *pixels = some_pixels(BATCH * length), logits[BATCH * 6];
    mimir_prediction known[BATCH], abstaining[BATCH];
    OK(mimir_session_logits(session, pixels, BATCH * length, BATCH, NULL, logits, BATCH * classes));
    OK(mimir_session_classify(session, pixels, BATCH * length, BATCH, NULL, 0.0f, known, BATCH));
    OK(mimir_session_classify(session, pixels, BATCH * length, BATCH, NULL, INFINITY, abstaining, BATCH));
    for (size_t image = 0; image < BATCH; image++) {
        const float *row = logits + image * classes;
        const size_t best = largest(row, classes);
        double sum = 0.0;
        float next = -INFINITY;
        for (size_t index = 0; index < classes; index++) {
            sum += exp((double)row[index] - row[best]);
            if (index != best && row[index] > next) next = row[index];
        }
        CHECK(known[image].class_index == (int32_t)best && known[image].abstained == 0);
        CHECK(known[image].margin == row[best] - next && fabs(known[image].probability - 1.0 / sum) < 1e-6);
        CHECK(abstaining[image].class_index == (int32_t)best && abstaining[image].abstained == 1);
    }
    free(pixels);
}

/* The linear head of the demo's model makes its logits of its features. */
static void features(const mimir_model *model) {
    mimir_session_options *options = mimir_session_options_new();
    mimir_session *session = NULL;
    OK(mimir_session_options_set_features(options, true));
    OK(mimir_session_new(model, options, &session));
    const size_t length = mimir_model_input_len(model), count = mimir_model_feature_len(model, 0);
    float *pixels = some_pixels(2 * length), *both = malloc(2 * count * sizeof *both), *one = malloc(count * sizeof *one);
    OK(mimir_session_features(session, 0, pixels, 2 * length, 2, NULL, both, 2 * count));
    OK(mimir_session_features(session, 0, pixels + length, length, 1, NULL, one, count));
    size_t positive = 0;
    for (size_t index = 0; index < count; index++) {
        CHECK(both[index] >= 0.0f && fabsf(both[count + index] - one[index]) < 1e-4f);
        positive += both[index] > 0.0f;
    }
    CHECK(positive > 0);
    FAILS(mimir_session_features(session, 1, pixels, length, 1, NULL, one, count), MIMIR_ERROR_INVALID_ARGUMENT);
    free(pixels);
    free(both);
    free(one);
    mimir_session_delete(session);
    mimir_session_options_delete(options);
}

/* In certified batches an image has the same logits alone and among others. */
static void certified(const mimir_model *model) {
    enum { BATCH = 37 };
    mimir_session_options *options = mimir_session_options_new();
    mimir_session *session = NULL;
    OK(mimir_session_options_set_batching(options, MIMIR_BATCHING_CERTIFIED));
    OK(mimir_session_options_set_warm_up(options, 1));
    OK(mimir_session_new(model, options, &session));
    CHECK(mimir_session_fixed_batch(session) == mimir_certificate_batch(mimir_model_certificate(model, 0)));
    const size_t length = mimir_model_input_len(model), classes = mimir_model_class_count(model);
    float *pixels = some_pixels(BATCH * length), all[BATCH * 6], one[6];
    OK(mimir_session_logits(session, pixels, BATCH * length, BATCH, NULL, all, BATCH * classes));
    for (size_t image = 0; image < BATCH; image++) {
        OK(mimir_session_logits(session, pixels + image * length, length, 1, NULL, one, classes));
        CHECK(memcmp(one, all + image * classes, sizeof one) == 0);
    }
    free(pixels);
    mimir_session_delete(session);
    mimir_session_options_delete(options);
}

/* A picture of the input's size is its bytes divided by 255, in planes; rows may be apart. */
static void pictures(const mimir_model *model) {
    enum { SIDE = 24, STRIDE = 24 * 3 + 5 };
    uint8_t bytes[SIDE * STRIDE], grey[SIDE * SIDE];
    float pixels[3 * SIDE * SIDE];
    for (size_t index = 0; index < sizeof bytes; index++) bytes[index] = (uint8_t)(index * 7);
    OK(mimir_model_prepare(model, bytes, sizeof bytes, SIDE, SIDE, 3, STRIDE, pixels, 3 * SIDE * SIDE));
    for (size_t row = 0; row < SIDE; row++)
        for (size_t column = 0; column < SIDE; column++)
            for (size_t channel = 0; channel < 3; channel++)
                CHECK(pixels[channel * SIDE * SIDE + row * SIDE + column] ==
                      (float)bytes[row * STRIDE + 3 * column + channel] / 255.0f);
    memset(grey, 51, sizeof grey);
    OK(mimir_model_prepare(model, grey, sizeof grey, SIDE, SIDE, 1, SIDE, pixels, 3 * SIDE * SIDE));
    CHECK(pixels[0] == 0.2f && pixels[3 * SIDE * SIDE - 1] == 0.2f);
}

static int32_t worst;

static void log_message(int32_t level, const char *message, void *payload) {
    CHECK(message != NULL && payload == &worst);
    if (level > worst) worst = level;
}

static void profile(const mimir_model *model) {
    mimir_session_options *options = mimir_session_options_new();
    mimir_session *session = NULL;
    OK(mimir_session_options_set_profile(options, true));
    OK(mimir_session_options_set_logger(options, MIMIR_LOG_DEBUG, log_message, &worst));
    OK(mimir_session_new(model, options, &session));
    predictions(model, session);
    char *json, *again;
    TEXT(json, mimir_session_profile_json, session);
    CHECK(json[0] == '[' && strstr(json, "\"cat\"") != NULL && strstr(json, "\"Conv\"") != NULL);
    TEXT(again, mimir_session_profile_json, session);
    CHECK(strcmp(json, again) == 0);
    free(json);
    free(again);
    mimir_session_delete(session);
    mimir_session_options_delete(options);
    CHECK(worst >= MIMIR_LOG_DEBUG && worst < MIMIR_LOG_ERROR);
}

static void rten(const mimir_model *model, const mimir_session *other) {
    mimir_session_options *options = mimir_session_options_new();
    mimir_session *session = NULL;
    OK(mimir_session_options_set_engine(options, MIMIR_ENGINE_RTEN));
    OK(mimir_session_new(model, options, &session));
    CHECK(strcmp(mimir_session_engine(session), "rten") == 0 && strcmp(mimir_session_engine(other), "onnxruntime") == 0);
    predictions(model, session);
    const size_t length = mimir_model_input_len(model);
    float *pixels = some_pixels(length), ours[6], theirs[6];
    OK(mimir_session_logits(session, pixels, length, 1, NULL, ours, 6));
    OK(mimir_session_logits(other, pixels, length, 1, NULL, theirs, 6));
    for (size_t index = 0; index < 6; index++) CHECK(fabsf(ours[index] - theirs[index]) < 1e-3f);
    free(pixels);
    mimir_session_delete(session);
    mimir_session_options_delete(options);
}

int main(int argc, char **argv) {
    CHECK(argc == 4);
    versions();
    refusal(argv[1], argv[3]);
    mimir_policy *policy = NULL;
    mimir_model *model = NULL, *from_memory = NULL;
    mimir_session *session = NULL;
    OK(mimir_policy_from_file(argv[2], &policy));
    OK(mimir_model_load(argv[1], policy, &model));
    size_t length;
    unsigned char *bytes = read_file(argv[1], &length);
    OK(mimir_model_load_memory(bytes, length, policy, &from_memory));
    memset(bytes, 0, length);
    free(bytes);
    CHECK(strcmp(mimir_model_digest(model), mimir_model_digest(from_memory)) == 0);
    mimir_policy_delete(policy);
    built(argv[1], mimir_model_digest(model));
    facts(model);
    certificate(model);
    mimir_model *clone = mimir_model_clone(from_memory);
    mimir_model_delete(from_memory);
    OK(mimir_session_new(clone, NULL, &session));
    CHECK(mimir_session_max_batch(session) == 64 && mimir_session_fixed_batch(session) == 0);
    predictions(clone, session);
    rten(clone, session);
    mimir_model_delete(clone);
    predictions(model, session);
    features(model);
    certified(model);
    pictures(model);
    profile(model);
    mimir_session_delete(session);
    mimir_model_delete(model);
    return 0;
}
