/* A server's loop: threads that share one session answer the paths of pictures on the standard input, one a line:
 *
 *     find pictures -name "*.png" | server policy.toml model.mimir 8
 *
 * The session's weights are in memory once. With one thread inside an operator, the default, each worker computes its own
 * call. A call that takes more than a second fails, and the worker goes on with the next.
 */
#include <mimir.h>
#include <pthread.h>

#include "picture.h"

typedef struct server {
    const mimir_model *model;
    const mimir_session *session;
    const mimir_limits *limits;
    pthread_mutex_t input;
    size_t answered;
    size_t failures;
} server;

/* The next path, without its line's end; false where there is none. */
static bool next_path(server *shared, char *path, size_t capacity) {
    pthread_mutex_lock(&shared->input);
    bool found = fgets(path, (int)capacity, stdin) != NULL;
    pthread_mutex_unlock(&shared->input);
    if (found) path[strcspn(path, "\n")] = 0;
    return found;
}

static bool answer(const server *shared, const char *path, float *pixels, size_t length) {
    picture seen = picture_read(path);
    if (seen.bytes == NULL) return false;
    mimir_prediction prediction;
    mimir_error *error = mimir_model_prepare(shared->model, seen.bytes, seen.width * seen.height * 3, seen.width, seen.height,
                                             3, seen.width * 3, pixels, length);
    if (error == NULL)
        error = mimir_session_classify(shared->session, pixels, length, 1, shared->limits, 0.0f, &prediction, 1);
    free(seen.bytes);
    if (error == NULL)
        printf("%s: class %d, margin %.4f\n", path, (int)prediction.class_index, prediction.margin);
    else
        fprintf(stderr, "%s: %s\n", path, mimir_error_message(error));
    bool ok = error == NULL;
    mimir_error_delete(error);
    return ok;
}

static void *serve(void *argument) {
    server *shared = argument;
    size_t length = mimir_model_input_len(shared->model);
    float *pixels = malloc(length * sizeof *pixels);
    char path[4096];
    while (pixels != NULL && next_path(shared, path, sizeof path)) {
        bool ok = answer(shared, path, pixels, length);
        pthread_mutex_lock(&shared->input);
        shared->answered += ok;
        shared->failures += !ok;
        pthread_mutex_unlock(&shared->input);
    }
    free(pixels);
    return NULL;
}

static void run(server *shared, size_t count) {
    pthread_t *threads = calloc(count, sizeof *threads);
    size_t started = 0;
    while (threads != NULL && started < count && pthread_create(&threads[started], NULL, serve, shared) == 0) started++;
    for (size_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
    free(threads);
}

int main(int argc, char **argv) {
    long count = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    if (count < 1 || count > 1024) {
        fprintf(stderr, "usage: %s POLICY.toml BUNDLE THREADS < PATHS\n", argv[0]);
        return 2;
    }
    mimir_policy *policy = NULL;
    mimir_model *model = NULL;
    mimir_session *session = NULL;
    mimir_limits *limits = mimir_limits_new();
    mimir_error *error = mimir_policy_from_file(argv[1], &policy);
    if (error == NULL) error = mimir_model_load(argv[2], policy, &model);
    if (error == NULL) error = mimir_session_new(model, NULL, &session);
    if (error == NULL) error = mimir_limits_set_timeout(limits, 1000);
    server shared = {.model = model, .session = session, .limits = limits, .input = PTHREAD_MUTEX_INITIALIZER};
    if (error == NULL)
        run(&shared, (size_t)count);
    else
        fprintf(stderr, "error: %s\n", mimir_error_message(error));
    bool ok = error == NULL && shared.failures == 0;
    if (error == NULL) fprintf(stderr, "%zu answered, %zu failed\n", shared.answered, shared.failures);
    mimir_error_delete(error);
    mimir_limits_delete(limits);
    mimir_session_delete(session);
    mimir_model_delete(model);
    mimir_policy_delete(policy);
    return ok ? 0 : 1;
}
