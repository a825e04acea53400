/* A hostile bundle is refused, or its model by a session within its limits. refused PATH... */
#include "check.h"

static int32_t tried(const char *path) {
    mimir_policy *policy = mimir_policy_allow_anything();
    mimir_model *model = NULL;
    mimir_session *session = NULL;
    mimir_session_options *options = mimir_session_options_new();
    OK(mimir_session_options_set_memory_limit(options, (uint64_t)1 << 30));
    mimir_error *error = mimir_model_load(path, policy, &model);
    if (error == NULL) error = mimir_session_new(model, options, &session);
    if (error == NULL) {
        const size_t length = mimir_model_input_len(model), classes = mimir_model_class_count(model);
        float *pixels = some_pixels(length), *logits = malloc(classes * sizeof *logits);
        mimir_limits *limits = mimir_limits_new();
        OK(mimir_limits_set_timeout(limits, 2000));
        error = mimir_session_logits(session, pixels, length, 1, limits, logits, classes);
        mimir_limits_delete(limits);
        free(pixels);
        free(logits);
    }
    int32_t code = mimir_error_code(error);
    printf("%s: %d: %s\n", path, code, mimir_error_message(error));
    mimir_error_delete(error);
    mimir_session_options_delete(options);
    mimir_session_delete(session);
    mimir_model_delete(model);
    mimir_policy_delete(policy);
    return code;
}

int main(int argc, char **argv) {
    CHECK(argc >= 2);
    for (int index = 1; index < argc; index++) {
        int32_t code = tried(argv[index]);
        CHECK(code != MIMIR_OK && code != MIMIR_ERROR_INTERNAL);
    }
    return 0;
}
