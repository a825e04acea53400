/* Does a process that serves and certifies for long stay as it was?
 *
 *     soak SECONDS THREADS IMAGES.npz BUNDLE...
 *
 * Each thread makes whole jobs, one after the other: policy, bundle, session, pictures, classes, logits, features, an
 * asynchronous call, calls that fail, an evaluation now and then; everything is deleted. Memory, open files and threads of the
 * process are looked at ten times a second. The least of each period counts: between jobs, nothing may be left of them. It fails
 * where the last quarter of the time has more memory than the second by 5 % and 8 MiB, more files at all, or more than three threads more
 * (those of sessions come and go, and the least of them is a matter of luck).
 * scripts/soak builds and runs it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <mimir.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PERIODS = 24, BATCH = 4 };

static atomic_bool ended;
static atomic_long jobs, evaluations, refused;
static const char *images;
static char **bundles;
static int bundle_count;

static void expect(mimir_error *error, const char *what) {
    if (error == NULL) return;
    fprintf(stderr, "soak: %s: %s\n", what, mimir_error_message(error));
    _Exit(1);
}

/* A call that must fail, and whose error is read and deleted. */
static void expect_error(mimir_error *error, const char *what) {
    if (error == NULL || mimir_error_message(error)[0] == 0) {
        fprintf(stderr, "soak: %s did not fail\n", what);
        _Exit(1);
    }
    mimir_error_delete(error);
    atomic_fetch_add(&refused, 1);
}

static void *allocated(size_t bytes) {
    void *memory = malloc(bytes);
    if (memory == NULL) {
        fprintf(stderr, "soak: no memory\n");
        _Exit(1);
    }
    return memory;
}

static void done(mimir_error *error, void *payload) {
    expect(error, "asynchronous call");
    atomic_fetch_add((atomic_int *)payload, 1);
}

static void use(const mimir_model *model, const mimir_session *session, unsigned seed) {
    size_t length = mimir_model_input_len(model), classes = mimir_model_class_count(model), shape[3];
    expect(mimir_model_input_shape(model, shape, 3), "shape");
    float *pixels = allocated(BATCH * length * sizeof *pixels), *logits = allocated(BATCH * classes * sizeof *logits);
    uint8_t *picture = allocated(length);
    for (size_t i = 0; i < BATCH; i++) {
        for (size_t j = 0; j < length; j++) picture[j] = (uint8_t)rand_r(&seed);
        expect(mimir_model_prepare(model, picture, length, shape[2], shape[1], shape[0], shape[2] * shape[0],
                                   pixels + i * length, length),
               "prepare");
    }
    mimir_prediction predictions[BATCH];
    for (int round = 0; round < 8; round++) {
        expect(mimir_session_classify(session, pixels, BATCH * length, BATCH, NULL, 0.0f, predictions, BATCH), "classify");
        expect(mimir_session_logits(session, pixels, BATCH * length, BATCH, NULL, logits, BATCH * classes), "logits");
    }
    if (mimir_model_feature_count(model) > 0) {
        size_t width = mimir_model_feature_len(model, 0);
        float *values = allocated(BATCH * width * sizeof *values);
        expect(mimir_session_features(session, 0, pixels, BATCH * length, BATCH, NULL, values, BATCH * width), "features");
        free(values);
    }
    atomic_int called = 0;
    mimir_request *request = NULL;
    expect(mimir_session_logits_async(session, pixels, length, 1, NULL, logits, classes, done, &called, &request),
           "asynchronous logits");
    mimir_request_wait(request, UINT64_MAX);
    mimir_request_delete(request);
    if (atomic_load(&called) != 1) {
        fprintf(stderr, "soak: the callback came %d times\n", atomic_load(&called));
        _Exit(1);
    }
    pixels[1] = 2.0f;
    expect_error(mimir_session_classify(session, pixels, length, 1, NULL, 0.0f, predictions, 1), "a pixel of 2");
    free(picture);
    free(logits);
    free(pixels);
}

static void job(long number, unsigned seed) {
    static const char anything[] = "version = 1\nallow_anything = true\n";
    const char *bundle = bundles[number % bundle_count];
    mimir_policy *policy = NULL, *strict = NULL;
    mimir_model *model = NULL;
    mimir_session_options *options = mimir_session_options_new();
    mimir_session *session = NULL;
    expect(mimir_policy_from_text(anything, sizeof anything - 1, &policy), "policy");
    strict = mimir_policy_new();
    expect(mimir_policy_require_ball(strict, MIMIR_NORM_LINF, 0.5), "ball");
    expect_error(mimir_model_load(bundle, strict, &model), "a model without such a certificate");
    expect_error(mimir_model_load("/nonexistent.mimir", policy, &model), "a missing bundle");
    expect(mimir_model_load(bundle, policy, &model), "load");
    int32_t engine = number % 3 == 2 ? MIMIR_ENGINE_RTEN : MIMIR_ENGINE_ONNXRUNTIME;
    expect(mimir_session_options_set_engine(options, engine), "engine");
    expect(mimir_session_options_set_threads(options, 1 + (size_t)number % 2), "threads");
    expect(mimir_session_options_set_features(options, mimir_model_feature_count(model) > 0), "features");
    expect(mimir_session_options_set_profile(options, number % 16 == 0 && engine != MIMIR_ENGINE_RTEN), "profile");
    expect(mimir_session_new(model, options, &session), "session");
    use(model, session, seed);
    mimir_session_delete(session);
    mimir_session_options_delete(options);
    mimir_model_delete(model);
    mimir_policy_delete(strict);
    mimir_policy_delete(policy);
}

#ifdef MIMIR_HAS_ATTACKS
static void evaluate(long number) {
    char folder[] = "/tmp/mimir-soak-XXXXXX", command[80];
    if (mkdtemp(folder) == NULL) _Exit(1);
    mimir_certify_options *options = NULL;
    mimir_evaluation *evaluation = NULL;
    expect(mimir_certify_options_new(MIMIR_NORM_LINF, 2.0 / 255, &options), "options");
    expect(mimir_certify_options_set_attacks(options, number % 2 ? "fgsm" : "fgsm,noise"), "attacks");
    expect(mimir_certify_options_set_first(options, 8), "first");
    expect(mimir_certify_options_set_report(options, folder), "report");
    expect(mimir_certify(bundles[0], images, options, NULL, NULL, &evaluation), "evaluation");
    mimir_evaluation_delete(evaluation);
    mimir_certify_options_delete(options);
    snprintf(command, sizeof command, "rm -r %s", folder);
    if (system(command) != 0) _Exit(1);
    atomic_fetch_add(&evaluations, 1);
}
#endif

static void *work(void *payload) {
    long thread = (long)payload;
    for (long number = thread; !atomic_load(&ended); number++) {
        job(number, (unsigned)number);
        atomic_fetch_add(&jobs, 1);
#ifdef MIMIR_HAS_ATTACKS
        if (thread == 0 && number % 4 == 0) evaluate(number);
#endif
    }
    return NULL;
}

typedef struct {
    long memory; /* KiB */
    long files;
    long threads;
} state;

static long entries(const char *folder) {
    DIR *open = opendir(folder);
    long count = -3; /* Without `.`, `..` and the folder itself. */
    while (open != NULL && readdir(open) != NULL) count++;
    if (open != NULL) closedir(open);
    return count;
}

static state look(void) {
    state now = {0, entries("/proc/self/fd"), 0};
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        sscanf(line, "VmRSS: %ld kB", &now.memory);
        sscanf(line, "Threads: %ld", &now.threads);
    }
    if (status != NULL) fclose(status);
    return now;
}

static long least(long one, long other) { return one < other ? one : other; }

static state least_of(const state *states, int from, int to) {
    state found = states[from];
    for (int i = from + 1; i < to; i++) {
        found.memory = least(found.memory, states[i].memory);
        found.files = least(found.files, states[i].files);
        found.threads = least(found.threads, states[i].threads);
    }
    return found;
}

int main(int argc, char **argv) {
    long seconds = argc > 4 ? atol(argv[1]) : 0, threads = argc > 4 ? atol(argv[2]) : 0;
    if (seconds < PERIODS || threads < 1 || threads > 64) {
        fprintf(stderr, "usage: soak SECONDS THREADS IMAGES.npz BUNDLE...; at least %d seconds\n", PERIODS);
        return 2;
    }
    images = argv[3];
    bundles = argv + 4;
    bundle_count = argc - 4;
    pthread_t workers[64];
    state periods[PERIODS];
    for (long i = 0; i < threads; i++)
        if (pthread_create(&workers[i], NULL, work, (void *)i) != 0) return 1;
    printf("%8s %8s %12s %8s %8s %8s %8s\n", "seconds", "jobs", "evaluations", "refused", "MiB", "files", "threads");
    for (int period = 0; period < PERIODS; period++) {
        periods[period] = look();
        for (long i = 0; i < 10 * seconds / PERIODS; i++) {
            usleep(100000);
            state both[2] = {periods[period], look()};
            periods[period] = least_of(both, 0, 2);
        }
        const state *now = &periods[period];
        printf("%8ld %8ld %12ld %8ld %8.1f %8ld %8ld\n", (period + 1) * seconds / PERIODS, atomic_load(&jobs),
               atomic_load(&evaluations), atomic_load(&refused), (double)now->memory / 1024.0, now->files, now->threads);
        fflush(stdout);
    }
    atomic_store(&ended, true);
    for (long i = 0; i < threads; i++) pthread_join(workers[i], NULL);
    state before = least_of(periods, PERIODS / 4, PERIODS / 2), after = least_of(periods, PERIODS * 3 / 4, PERIODS);
    long allowed = before.memory + before.memory / 20 + 8 * 1024;
    bool flat = after.memory <= allowed && after.files <= before.files && after.threads <= before.threads + 3;
    printf("%s: %.1f MiB, %ld files, %ld threads in the second quarter; %.1f, %ld, %ld in the last (at most %.1f MiB)\n",
           flat ? "flat" : "GROWS", (double)before.memory / 1024.0, before.files, before.threads,
           (double)after.memory / 1024.0, after.files, after.threads, (double)allowed / 1024.0);
    return flat ? 0 : 1;
}
