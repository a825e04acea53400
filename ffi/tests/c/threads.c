/* One model and one session for 16 threads: the same bits as alone, whatever the number of threads. threads BUNDLE */
#include <pthread.h>

#include "check.h"

enum { THREADS = 16, ROUNDS = 12, IMAGES = 7, CLASSES = 6 };

static const char *bundle;
static mimir_model *model;
static mimir_session *session, *pooled;
static float *pixels, wanted[IMAGES * CLASSES];
static size_t length;

static void same(const mimir_session *known, size_t first, size_t count, const mimir_limits *limits) {
    float logits[IMAGES * CLASSES];
    OK(mimir_session_logits(known, pixels + first * length, count * length, count, limits, logits, count * CLASSES));
    /* Two images or more are computed in the same way as all are. */
    CHECK(memcmp(logits, wanted + first * CLASSES, count * CLASSES * sizeof *logits) == 0);
}

static void errors(void) {
    mimir_policy *policy = mimir_policy_new();
    mimir_model *none = NULL;
    OK(mimir_policy_require_ball(policy, MIMIR_NORM_L1, 1e6));
    FAILS(mimir_model_load(bundle, policy, &none), MIMIR_ERROR_POLICY);
    mimir_policy_delete(policy);
}

static void own_session(void) {
    mimir_model *clone = mimir_model_clone(model);
    mimir_session *own = NULL;
    OK(mimir_session_new(clone, NULL, &own));
    mimir_model_delete(clone);
    same(own, 0, IMAGES, NULL);
    mimir_session_delete(own);
}

static void *work(void *payload) {
    const size_t number = (size_t)(uintptr_t)payload;
    mimir_limits *limits = mimir_limits_new();
    OK(mimir_limits_set_timeout(limits, 600000));
    for (size_t round = 0; round < ROUNDS; round++) {
        const size_t count = 2 + (number + round) % (IMAGES - 1), first = round % (IMAGES - count + 1);
        same(session, first, count, round % 2 == 0 ? limits : NULL);
        same(pooled, first, count, NULL);
        mimir_prediction predictions[IMAGES];
        OK(mimir_session_classify(session, pixels, IMAGES * length, IMAGES, limits, 0.5f, predictions, IMAGES));
        CHECK(mimir_model_class_count(model) == CLASSES && strlen(mimir_model_digest(model)) == 64);
    }
    if (number % 4 == 0) errors();
    if (number % 4 == 1) own_session();
    mimir_limits_cancel(limits);
    float logits[CLASSES];
    FAILS(mimir_session_logits(session, pixels, length, 1, limits, logits, CLASSES), MIMIR_ERROR_CANCELLED);
    mimir_limits_delete(limits);
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    bundle = argv[1];
    model = load_anything(bundle);
    length = mimir_model_input_len(model);
    CHECK(mimir_model_class_count(model) == CLASSES);
    pixels = some_pixels(IMAGES * length);
    mimir_session_options *options = mimir_session_options_new();
    OK(mimir_session_new(model, options, &session));
    OK(mimir_session_options_set_threads(options, 4));
    OK(mimir_session_new(model, options, &pooled));
    mimir_session_options_delete(options);
    OK(mimir_session_logits(session, pixels, IMAGES * length, IMAGES, NULL, wanted, IMAGES * CLASSES));
    pthread_t threads[THREADS];
    for (size_t number = 0; number < THREADS; number++)
        CHECK(pthread_create(&threads[number], NULL, work, (void *)(uintptr_t)number) == 0);
    for (size_t number = 0; number < THREADS; number++) CHECK(pthread_join(threads[number], NULL) == 0);
    mimir_session_delete(session);
    mimir_session_delete(pooled);
    mimir_model_delete(model);
    free(pixels);
    return 0;
}
