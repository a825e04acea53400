/* Calls that are ended before they have finished, on a model that takes a second or more. limits SLOW_BUNDLE */
#include <pthread.h>
#include <unistd.h>

#include "check.h"

enum { BATCH = 64 };

static void *cancel_soon(void *payload) {
    usleep(30000);
    mimir_limits_cancel(payload);
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    mimir_model *model = load_anything(argv[1]);
    mimir_session *session = NULL;
    mimir_session_options *options = mimir_session_options_new();
    OK(mimir_session_options_set_warm_up(options, 100));
    OK(mimir_session_options_set_timeout(options, 300));
    FAILS(mimir_session_new(model, options, &session), MIMIR_ERROR_DEADLINE);
    mimir_session_options_delete(options);
    OK(mimir_session_new(model, NULL, &session));
    const size_t length = mimir_model_input_len(model), classes = mimir_model_class_count(model);
    float *pixels = some_pixels(BATCH * length), *logits = malloc(BATCH * classes * sizeof *logits);

    mimir_limits *limits = mimir_limits_new();
    OK(mimir_limits_set_timeout(limits, 20));
    for (int round = 0; round < 2; round++)
        FAILS(mimir_session_logits(session, pixels, BATCH * length, BATCH, limits, logits, BATCH * classes),
              MIMIR_ERROR_DEADLINE);
    OK(mimir_limits_set_timeout(limits, 0));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, cancel_soon, limits) == 0);
    FAILS(mimir_session_logits(session, pixels, BATCH * length, BATCH, limits, logits, BATCH * classes),
          MIMIR_ERROR_CANCELLED);
    CHECK(pthread_join(thread, NULL) == 0);
    /* What was cancelled stays cancelled; the session is whole. */
    FAILS(mimir_session_logits(session, pixels, length, 1, limits, logits, classes), MIMIR_ERROR_CANCELLED);
    mimir_limits_delete(limits);
    OK(mimir_session_logits(session, pixels, length, 1, NULL, logits, classes));
    free(pixels);
    free(logits);
    mimir_session_delete(session);
    mimir_model_delete(model);
    return 0;
}
