/* Every function with NULL, alone and in each parameter: errors, or the value that the header promises. nulls BUNDLE */
#include "check.h"

#define NULLED(call) FAILS(call, MIMIR_ERROR_INVALID_ARGUMENT)

static void done(mimir_error *error, void *payload) {
    (void)payload;
    mimir_error_delete(error);
}

static void values(void) {
    CHECK(mimir_error_code(NULL) == MIMIR_OK);
    CHECK(strcmp(mimir_error_message(NULL), "") == 0);
    CHECK(mimir_error_requirement_count(NULL) == 0 && mimir_error_requirement(NULL, 0) == NULL);
    CHECK(mimir_policy_clone(NULL) == NULL && mimir_model_clone(NULL) == NULL && mimir_certificate_clone(NULL) == NULL);
    CHECK(mimir_certificate_norm(NULL) == 0 && isnan(mimir_certificate_epsilon(NULL)));
    CHECK(mimir_certificate_sample_count(NULL) == 0 && mimir_certificate_attack_count(NULL) == 0);
    CHECK(mimir_certificate_attack_name(NULL, 0) == NULL && mimir_certificate_created_at(NULL) == NULL);
    CHECK(mimir_certificate_engine(NULL) == NULL && mimir_certificate_engine_version(NULL) == NULL);
    CHECK(mimir_certificate_batch(NULL) == 0);
    CHECK(mimir_model_input_len(NULL) == 0 && mimir_model_class_count(NULL) == 0);
    CHECK(mimir_model_class_name(NULL, 0) == NULL && mimir_model_digest(NULL) == NULL);
    CHECK(mimir_model_certificate_count(NULL) == 0 && mimir_model_certificate(NULL, 0) == NULL);
    CHECK(mimir_model_feature_count(NULL) == 0 && mimir_model_feature_name(NULL, 0) == NULL);
    CHECK(mimir_model_feature_len(NULL, 0) == 0);
    CHECK(strcmp(mimir_session_engine(NULL), "") == 0);
    CHECK(mimir_session_max_batch(NULL) == 0 && mimir_session_fixed_batch(NULL) == 0);
    CHECK(mimir_request_wait(NULL, 0));
    mimir_request_cancel(NULL);
    mimir_limits_cancel(NULL);
}

static void deletes(void) {
    mimir_error_delete(NULL);
    mimir_policy_delete(NULL);
    mimir_certificate_delete(NULL);
    mimir_model_delete(NULL);
    mimir_session_options_delete(NULL);
    mimir_session_delete(NULL);
    mimir_limits_delete(NULL);
    mimir_request_delete(NULL);
}

static void texts(void) {
    char buffer[8] = "before";
    NULLED(mimir_build_info(buffer, sizeof buffer, NULL));
    NULLED(mimir_build_info(NULL, 8, NULL));
    size_t needed = 77;
    NULLED(mimir_build_info(NULL, 8, &needed));
    CHECK(needed == 77);
    OK(mimir_build_info(buffer, sizeof buffer, &needed));
    CHECK(needed > sizeof buffer && strcmp(buffer, "before") == 0);
    NULLED(mimir_certificate_to_json(NULL, buffer, sizeof buffer, &needed));
    NULLED(mimir_model_manifest_json(NULL, buffer, sizeof buffer, &needed));
    NULLED(mimir_session_profile_json(NULL, buffer, sizeof buffer, &needed));
}

static void policies(void) {
    mimir_policy *out = NULL;
    NULLED(mimir_policy_from_file(NULL, &out));
    NULLED(mimir_policy_from_file("x", NULL));
    NULLED(mimir_policy_from_text(NULL, 0, &out));
    NULLED(mimir_policy_from_text("version = 1", 11, NULL));
    CHECK(out == NULL);
    NULLED(mimir_policy_trust_key(NULL, "", 0));
    NULLED(mimir_policy_require_signatures(NULL, 1));
    NULLED(mimir_policy_require_digest(NULL, ""));
    NULLED(mimir_policy_require_ball(NULL, MIMIR_NORM_LINF, 0.1));
    NULLED(mimir_policy_require_attacked_accuracy(NULL, 0.1, MIMIR_COMPARED_LOWER));
    NULLED(mimir_policy_require_clean_accuracy(NULL, 0.1));
    NULLED(mimir_policy_require_preset(NULL, "standard"));
    NULLED(mimir_policy_require_attack(NULL, "square"));
    NULLED(mimir_policy_require_samples(NULL, 1));
    NULLED(mimir_policy_require_max_age(NULL, 1));
    NULLED(mimir_policy_deny_warnings(NULL));
    mimir_policy *policy = mimir_policy_new();
    OK(mimir_policy_require_ball(policy, MIMIR_NORM_LINF, 0.1));
    NULLED(mimir_policy_trust_key(policy, NULL, 3));
    NULLED(mimir_policy_require_digest(policy, NULL));
    NULLED(mimir_policy_require_preset(policy, NULL));
    NULLED(mimir_policy_require_attack(policy, NULL));
    mimir_policy_delete(policy);
}

static void certificates(void) {
    mimir_interval interval = {7, 7, 7, 7};
    NULLED(mimir_certificate_clean_accuracy(NULL, &interval));
    NULLED(mimir_certificate_attacked_accuracy(NULL, &interval));
    NULLED(mimir_certificate_clean_accuracy(NULL, NULL));
    CHECK(interval.estimate == 7 && interval.confidence == 7);
}

static void options(void) {
    NULLED(mimir_session_options_set_engine(NULL, MIMIR_ENGINE_ANY));
    NULLED(mimir_session_options_set_onnxruntime(NULL, "x"));
    NULLED(mimir_session_options_set_device(NULL, "cpu"));
    NULLED(mimir_session_options_set_threads(NULL, 1));
    NULLED(mimir_session_options_set_spinning(NULL, true));
    NULLED(mimir_session_options_set_batching(NULL, MIMIR_BATCHING_DYNAMIC));
    NULLED(mimir_session_options_set_max_batch(NULL, 1));
    NULLED(mimir_session_options_set_memory_limit(NULL, 1));
    NULLED(mimir_session_options_set_timeout(NULL, 1));
    NULLED(mimir_session_options_set_warm_up(NULL, 1));
    NULLED(mimir_session_options_set_features(NULL, true));
    NULLED(mimir_session_options_set_profile(NULL, true));
    NULLED(mimir_session_options_set_workers(NULL, 1));
    NULLED(mimir_session_options_set_logger(NULL, MIMIR_LOG_ERROR, NULL, NULL));
    NULLED(mimir_limits_set_timeout(NULL, 1));
    mimir_session_options *known = mimir_session_options_new();
    NULLED(mimir_session_options_set_onnxruntime(known, NULL));
    NULLED(mimir_session_options_set_device(known, NULL));
    OK(mimir_session_options_set_logger(known, MIMIR_LOG_ERROR, NULL, NULL));
    mimir_session_options_delete(known);
}

static void models(const char *bundle) {
    mimir_policy *policy = mimir_policy_allow_anything();
    mimir_model *out = NULL;
    NULLED(mimir_model_load(NULL, policy, &out));
    NULLED(mimir_model_load(bundle, NULL, &out));
    NULLED(mimir_model_load(bundle, policy, NULL));
    NULLED(mimir_model_load_memory(NULL, 5, policy, &out));
    NULLED(mimir_model_load_memory((const uint8_t *)"x", 1, NULL, &out));
    NULLED(mimir_model_load_memory((const uint8_t *)"x", 1, policy, NULL));
    CHECK(out == NULL);
    mimir_policy_delete(policy);
    size_t shape[3] = {7, 7, 7};
    uint8_t bytes[3] = {0};
    float pixels[3] = {0};
    NULLED(mimir_model_input_shape(NULL, shape, 3));
    NULLED(mimir_model_prepare(NULL, bytes, 3, 1, 1, 3, 3, pixels, 3));
    CHECK(shape[0] == 7);
}

static void calls(const mimir_model *model) {
    mimir_session *session = NULL;
    NULLED(mimir_session_new(NULL, NULL, &session));
    NULLED(mimir_session_new(model, NULL, NULL));
    CHECK(session == NULL);
    OK(mimir_session_new(model, NULL, &session));
    const size_t length = mimir_model_input_len(model), classes = mimir_model_class_count(model);
    float *pixels = some_pixels(length), *logits = malloc(classes * sizeof *logits);
    mimir_prediction prediction;
    mimir_request *request = NULL;
    NULLED(mimir_session_logits(NULL, pixels, length, 1, NULL, logits, classes));
    NULLED(mimir_session_logits(session, NULL, length, 1, NULL, logits, classes));
    NULLED(mimir_session_logits(session, pixels, length, 1, NULL, NULL, classes));
    NULLED(mimir_session_classify(NULL, pixels, length, 1, NULL, 0.0f, &prediction, 1));
    NULLED(mimir_session_classify(session, NULL, length, 1, NULL, 0.0f, &prediction, 1));
    NULLED(mimir_session_classify(session, pixels, length, 1, NULL, 0.0f, NULL, 1));
    NULLED(mimir_session_features(NULL, 0, pixels, length, 1, NULL, logits, 1));
    NULLED(mimir_session_features(session, 0, NULL, length, 1, NULL, logits, 1));
    NULLED(mimir_session_features(session, 0, pixels, length, 1, NULL, NULL, 1));
    NULLED(mimir_session_logits_async(NULL, pixels, length, 1, NULL, logits, classes, done, NULL, &request));
    NULLED(mimir_session_logits_async(session, NULL, length, 1, NULL, logits, classes, done, NULL, &request));
    NULLED(mimir_session_logits_async(session, pixels, length, 1, NULL, NULL, classes, done, NULL, &request));
    NULLED(mimir_session_logits_async(session, pixels, length, 1, NULL, logits, classes, NULL, NULL, &request));
    NULLED(mimir_session_logits_async(session, pixels, length, 1, NULL, logits, classes, done, NULL, NULL));
    NULLED(mimir_session_classify_async(NULL, pixels, length, 1, NULL, 0.0f, &prediction, 1, done, NULL, &request));
    NULLED(mimir_session_classify_async(session, NULL, length, 1, NULL, 0.0f, &prediction, 1, done, NULL, &request));
    NULLED(mimir_session_classify_async(session, pixels, length, 1, NULL, 0.0f, NULL, 1, done, NULL, &request));
    NULLED(mimir_session_classify_async(session, pixels, length, 1, NULL, 0.0f, &prediction, 1, NULL, NULL, &request));
    NULLED(mimir_session_classify_async(session, pixels, length, 1, NULL, 0.0f, &prediction, 1, done, NULL, NULL));
    CHECK(request == NULL);
    NULLED(mimir_model_input_shape(model, NULL, 3));
    NULLED(mimir_model_prepare(model, NULL, 3, 1, 1, 3, 3, pixels, length));
    NULLED(mimir_model_prepare(model, (const uint8_t *)"abc", 3, 1, 1, 3, 3, NULL, length));
    NULLED(mimir_model_manifest_json(model, NULL, 0, NULL));
    free(pixels);
    free(logits);
    mimir_session_delete(session);
}

#ifdef MIMIR_HAS_ATTACKS
static void evaluations(const char *bundle) {
    mimir_certify_options *known = NULL;
    mimir_evaluation *evaluation = NULL;
    size_t needed = 0;
    NULLED(mimir_certify_options_new(MIMIR_NORM_LINF, 0.1, NULL));
    NULLED(mimir_certify_options_set_attacks(NULL, "fgsm"));
    NULLED(mimir_certify_options_set_first(NULL, 1));
    NULLED(mimir_certify_options_set_seed(NULL, 1));
    NULLED(mimir_certify_options_set_device(NULL, "cpu"));
    NULLED(mimir_certify_options_set_report(NULL, "x"));
    NULLED(mimir_certify_options_set_write_certificate(NULL, true));
    OK(mimir_certify_options_new(MIMIR_NORM_LINF, 0.1, &known));
    NULLED(mimir_certify_options_set_attacks(known, NULL));
    NULLED(mimir_certify_options_set_device(known, NULL));
    NULLED(mimir_certify_options_set_report(known, NULL));
    NULLED(mimir_certify(NULL, "npz:x", known, NULL, NULL, &evaluation));
    NULLED(mimir_certify(bundle, NULL, known, NULL, NULL, &evaluation));
    NULLED(mimir_certify(bundle, "npz:x", NULL, NULL, NULL, &evaluation));
    NULLED(mimir_certify(bundle, "npz:x", known, NULL, NULL, NULL));
    const float pixel = 0.5f;
    const uint32_t label = 0;
    NULLED(mimir_attack(NULL, &pixel, 1, &label, 1, known, NULL, NULL, &evaluation));
    NULLED(mimir_attack(bundle, NULL, 1, &label, 1, known, NULL, NULL, &evaluation));
    NULLED(mimir_attack(bundle, &pixel, 1, NULL, 1, known, NULL, NULL, &evaluation));
    NULLED(mimir_attack(bundle, &pixel, 1, &label, 1, NULL, NULL, NULL, &evaluation));
    NULLED(mimir_attack(bundle, &pixel, 1, &label, 1, known, NULL, NULL, NULL));
    CHECK(evaluation == NULL && mimir_evaluation_certificate(NULL) == NULL);
    CHECK(mimir_evaluation_image_count(NULL) == 0 && mimir_evaluation_verdict(NULL, 0) == 0);
    CHECK(mimir_evaluation_clean_class(NULL, 0) == -1 && mimir_evaluation_perturbed_class(NULL, 0) == -1);
    CHECK(isnan(mimir_evaluation_distance(NULL, 0)) && mimir_evaluation_attack_name(NULL, 0) == NULL);
    CHECK(mimir_evaluation_perturbed_len(NULL) == 0);
    float perturbed = 7;
    NULLED(mimir_evaluation_perturbed(NULL, 0, &perturbed, 1));
    CHECK(perturbed == 7);
    NULLED(mimir_evaluation_report_json(NULL, NULL, 0, &needed));
    NULLED(mimir_evaluation_summary(NULL, NULL, 0, &needed));
    mimir_evaluation_delete(NULL);
    mimir_certify_options_delete(NULL);
    mimir_certify_options_delete(known);
}
#endif

int main(int argc, char **argv) {
    CHECK(argc == 2);
    values();
    deletes();
    texts();
    policies();
    certificates();
    options();
    models(argv[1]);
    mimir_model *model = load_anything(argv[1]);
    calls(model);
    mimir_model_delete(model);
#ifdef MIMIR_HAS_ATTACKS
    evaluations(argv[1]);
#endif
    return 0;
}
