/* Calls that return at once: each callback once, with the answer of the call; cancelling; a session that goes. async BUNDLE */
#include <pthread.h>

#include "check.h"

enum { CALLS = 64, CLASSES = 6 };

typedef struct {
    int called;
    int32_t code;
} outcome;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void done(mimir_error *error, void *payload) {
    outcome *known = payload;
    pthread_mutex_lock(&lock);
    known->called++;
    known->code = mimir_error_code(error);
    pthread_mutex_unlock(&lock);
    mimir_error_delete(error);
}

/* Under the lock, so that a tool that does not see the library's own locks knows who wrote before whom. */
static void expect(outcome *known, int count) {
    pthread_mutex_lock(&lock);
    for (int index = 0; index < count; index++) known[index] = (outcome){0, -1};
    pthread_mutex_unlock(&lock);
}

static outcome look(const outcome *known) {
    pthread_mutex_lock(&lock);
    outcome copy = *known;
    pthread_mutex_unlock(&lock);
    return copy;
}

static mimir_session *make(const mimir_model *model, size_t workers) {
    mimir_session_options *options = mimir_session_options_new();
    mimir_session *session = NULL;
    OK(mimir_session_options_set_workers(options, workers));
    OK(mimir_session_new(model, options, &session));
    mimir_session_options_delete(options);
    return session;
}

static void answers(const mimir_model *model, const float *pixels, size_t length) {
    mimir_session *session = make(model, 3);
    static float logits[CALLS][2 * CLASSES];
    float wanted[2 * CLASSES];
    outcome outcomes[CALLS];
    mimir_request *requests[CALLS] = {NULL};
    expect(outcomes, CALLS);
    OK(mimir_session_logits(session, pixels, 2 * length, 2, NULL, wanted, 2 * CLASSES));
    for (int index = 0; index < CALLS; index++)
        OK(mimir_session_logits_async(session, pixels, 2 * length, 2, NULL, logits[index], 2 * CLASSES, done,
                                      &outcomes[index], &requests[index]));
    for (int index = 0; index < CALLS; index++) {
        CHECK(mimir_request_wait(requests[index], UINT64_MAX));
        const outcome known = look(&outcomes[index]);
        CHECK(known.called == 1 && known.code == MIMIR_OK);
        CHECK(memcmp(logits[index], wanted, sizeof wanted) == 0);
        mimir_request_cancel(requests[index]);
        mimir_request_delete(requests[index]);
    }
    mimir_prediction prediction;
    outcome known;
    mimir_request *request = NULL;
    expect(&known, 1);
    OK(mimir_session_classify_async(session, pixels, length, 1, NULL, 0.0f, &prediction, 1, done, &known, &request));
    CHECK(mimir_request_wait(request, UINT64_MAX) && look(&known).code == MIMIR_OK && prediction.class_index >= 0);
    mimir_request_delete(request);
    /* A pixel out of range is found when the call is made. */
    float *wrong = some_pixels(length);
    wrong[3] = 2.0f;
    OK(mimir_session_classify_async(session, wrong, length, 1, NULL, 0.0f, &prediction, 1, done, &known, &request));
    CHECK(mimir_request_wait(request, UINT64_MAX) && look(&known).code == MIMIR_ERROR_INVALID_ARGUMENT);
    CHECK(look(&known).called == 2);
    mimir_request_delete(request);
    free(wrong);
    mimir_session_delete(session);
}

/* Holds the only worker of a session. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void hold(mimir_error *error, void *payload) {
    done(error, payload);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

static void waiting(const mimir_model *model, const float *pixels, size_t length) {
    mimir_session *session = make(model, 1);
    float logits[4][CLASSES];
    outcome outcomes[4];
    expect(outcomes, 4);
    mimir_request *requests[4] = {NULL};
    mimir_limits *limits = mimir_limits_new();
    OK(mimir_limits_set_timeout(limits, 1));
    pthread_mutex_lock(&gate);
    OK(mimir_session_logits_async(session, pixels, length, 1, NULL, logits[0], CLASSES, hold, &outcomes[0], &requests[0]));
    while (look(&outcomes[0]).called == 0) continue;
    OK(mimir_session_logits_async(session, pixels, length, 1, NULL, logits[1], CLASSES, done, &outcomes[1], &requests[1]));
    OK(mimir_session_logits_async(session, pixels, length, 1, limits, logits[2], CLASSES, done, &outcomes[2], &requests[2]));
    mimir_limits_delete(limits);
    mimir_request_cancel(requests[1]);
    CHECK(!mimir_request_wait(requests[1], 0) && !mimir_request_wait(requests[2], 20));
    pthread_mutex_unlock(&gate);
    CHECK(mimir_request_wait(requests[1], UINT64_MAX) && look(&outcomes[1]).code == MIMIR_ERROR_CANCELLED);
    CHECK(mimir_request_wait(requests[2], UINT64_MAX) && look(&outcomes[2]).code == MIMIR_ERROR_DEADLINE);
    for (int index = 0; index < 3; index++) mimir_request_delete(requests[index]);
    mimir_session_delete(session);
}

/* Deleting the session waits for what runs, cancels what waits, and after it no callback comes. */
static void going(const mimir_model *model, const float *pixels, size_t length) {
    mimir_session *session = make(model, 2);
    static float logits[CALLS][CLASSES];
    outcome outcomes[CALLS];
    expect(outcomes, CALLS);
    for (int index = 0; index < CALLS; index++) {
        mimir_request *request = NULL;
        OK(mimir_session_logits_async(session, pixels, length, 1, NULL, logits[index], CLASSES, done, &outcomes[index],
                                      &request));
        mimir_request_delete(request);
    }
    mimir_session_delete(session);
    for (int index = 0; index < CALLS; index++) {
        outcome known = look(&outcomes[index]);
        CHECK(known.called == 1);
        CHECK(known.code == MIMIR_OK || known.code == MIMIR_ERROR_CANCELLED);
    }
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    mimir_model *model = load_anything(argv[1]);
    const size_t length = mimir_model_input_len(model);
    float *pixels = some_pixels(2 * length);
    answers(model, pixels, length);
    waiting(model, pixels, length);
    going(model, pixels, length);
    free(pixels);
    mimir_model_delete(model);
    return 0;
}
