/* What the library costs over ONNX Runtime's own C API, on one model, in one process:
 *
 *     overhead LIBONNXRUNTIME MODEL.onnx BUNDLE BATCH ROUNDS     time of a call, both in turn, medians and their ratio
 *     overhead LIBONNXRUNTIME MODEL.onnx BUNDLE ort THREADS SECONDS C,H,W,K    images a second, one a call: a session of
 *                                                                              ONNX Runtime for each thread; memory
 *     overhead LIBONNXRUNTIME MODEL.onnx BUNDLE mimir THREADS SECONDS C,H,W,K  the same with one session of the library
 *     overhead LIBONNXRUNTIME MODEL.onnx BUNDLE load POLICY.toml ROUNDS        time to load, in turn: ONNX Runtime, the
 *                                                                              library without and with that policy
 *
 * MODEL.onnx is the file in the bundle; its input is called `images`, its output `logits`. One thread inside an operator.
 * scripts/bench-c-api builds and runs it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <mimir.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "onnxruntime_table.h"

static void **ort;

static void check(ort_status *status) {
    if (status == NULL) return;
    fprintf(stderr, "ONNX Runtime: %s\n", ((ort_get_error_message)ort[ORT_GET_ERROR_MESSAGE])(status));
    exit(1);
}

static void check_mimir(mimir_error *error) {
    if (error == NULL) return;
    fprintf(stderr, "mimir: %s\n", mimir_error_message(error));
    exit(1);
}

static void load_ort(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    OrtApiBase *(*base)(void) = library != NULL ? (OrtApiBase * (*)(void)) dlsym(library, "OrtGetApiBase") : NULL;
    if (base == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    ort = base()->GetApi(17);
}

static void *ort_env(void) {
    void *env = NULL;
    check(((ort_create_env)ort[ORT_CREATE_ENV])(ORT_LOG_WARNING, "overhead", &env));
    return env;
}

static void *ort_session(void *env, const char *model) {
    void *options = NULL, *session = NULL;
    check(((ort_create_session_options)ort[ORT_CREATE_SESSION_OPTIONS])(&options));
    check(((ort_set_number)ort[ORT_SET_OPTIMISATION])(options, ORT_OPTIMISE_ALL));
    check(((ort_set_number)ort[ORT_SET_INTRA_OP_THREADS])(options, 1));
    check(((ort_create_session)ort[ORT_CREATE_SESSION])(env, model, options, &session));
    return session;
}

static mimir_model *load_model(const char *bundle) {
    mimir_policy *policy = mimir_policy_allow_anything();
    mimir_model *model = NULL;
    check_mimir(mimir_model_load(bundle, policy, &model));
    mimir_policy_delete(policy);
    return model;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static float *noise(size_t length) {
    float *pixels = malloc(length * sizeof *pixels);
    for (size_t i = 0; pixels != NULL && i < length; i++) pixels[i] = (float)(i * 2654435761u % 1000) / 1000.0f;
    return pixels;
}

/* A call of ONNX Runtime as a C program makes it: tensors around the caller's memory, both ways. */
static void ort_logits(void *session, const void *memory, float *pixels, const int64_t shape[4], float *logits,
                       const int64_t wanted[2]) {
    size_t values = (size_t)(shape[0] * shape[1] * shape[2] * shape[3]);
    size_t scores = (size_t)(wanted[0] * wanted[1]);
    void *input = NULL, *output = NULL;
    check(((ort_create_tensor)ort[ORT_CREATE_TENSOR])(memory, pixels, values * 4, shape, 4, ORT_FLOAT, &input));
    check(((ort_create_tensor)ort[ORT_CREATE_TENSOR])(memory, logits, scores * 4, wanted, 2, ORT_FLOAT, &output));
    const char *input_name = "images", *output_name = "logits";
    const void *inputs[] = {input};
    check(((ort_run)ort[ORT_RUN])(session, NULL, &input_name, inputs, 1, &output_name, 1, &output));
    ((ort_release)ort[ORT_RELEASE_VALUE])(input);
    ((ort_release)ort[ORT_RELEASE_VALUE])(output);
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *times, size_t count) {
    qsort(times, count, sizeof *times, ascending);
    return times[count / 2];
}

static void *memory_info(void) {
    void *memory = NULL;
    check(((ort_create_cpu_memory_info)ort[ORT_CREATE_CPU_MEMORY_INFO])(ORT_ARENA, ORT_DEFAULT_MEMORY, &memory));
    return memory;
}

/* Both in turn, so that whatever disturbs the machine disturbs both. */
static void latency(const char *file, const char *bundle, int64_t batch, size_t rounds) {
    void *session = ort_session(ort_env(), file), *memory = memory_info();
    mimir_model *model = load_model(bundle);
    mimir_session *ours = NULL;
    check_mimir(mimir_session_new(model, NULL, &ours));
    size_t dims[3];
    check_mimir(mimir_model_input_shape(model, dims, 3));
    size_t length = (size_t)batch * mimir_model_input_len(model), scores = (size_t)batch * mimir_model_class_count(model);
    int64_t shape[] = {batch, (int64_t)dims[0], (int64_t)dims[1], (int64_t)dims[2]};
    int64_t wanted[] = {batch, (int64_t)mimir_model_class_count(model)};
    float *pixels = noise(length), *theirs_out = calloc(scores, 4), *ours_out = calloc(scores, 4);
    double *times[2] = {calloc(rounds, sizeof(double)), calloc(rounds, sizeof(double))};
    for (size_t round = 0; round < rounds + 5; round++)
        for (size_t turn = 0; turn < 2; turn++) {
            size_t who = (turn + round) % 2;
            double start = now();
            if (who == 0)
                ort_logits(session, memory, pixels, shape, theirs_out, wanted);
            else
                check_mimir(mimir_session_logits(ours, pixels, length, (size_t)batch, NULL, ours_out, scores));
            if (round >= 5) times[who][round - 5] = now() - start;
        }
    double theirs = median(times[0], rounds), mine = median(times[1], rounds);
    printf("batch %lld: ONNX Runtime %.1f us, mimir %.1f us, ratio %.4f; logits %s\n", (long long)batch, theirs * 1e6,
           mine * 1e6, mine / theirs, memcmp(theirs_out, ours_out, scores * 4) == 0 ? "equal to the last bit" : "differ");
}

typedef struct worker {
    void *session;              /* of ONNX Runtime, or */
    const mimir_session *ours;  /* of the library */
    const int64_t *sizes;       /* channels, height, width, classes */
    atomic_bool *stop;
    size_t calls;
} worker;

/* Memory of this process that is in RAM now. */
static double resident_megabytes(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*s %ld", &pages) != 1) pages = 0;
    if (file != NULL) fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576.0;
}

static void *call(void *argument) {
    worker *self = argument;
    const int64_t *sizes = self->sizes;
    int64_t shape[] = {1, sizes[0], sizes[1], sizes[2]}, wanted[] = {1, sizes[3]};
    size_t length = (size_t)(sizes[0] * sizes[1] * sizes[2]), scores = (size_t)sizes[3];
    float *pixels = noise(length), *logits = calloc(scores, 4);
    void *memory = self->session != NULL ? memory_info() : NULL;
    while (!atomic_load(self->stop)) {
        if (self->session != NULL)
            ort_logits(self->session, memory, pixels, shape, logits, wanted);
        else
            check_mimir(mimir_session_logits(self->ours, pixels, length, 1, NULL, logits, scores));
        self->calls++;
    }
    free(pixels);
    free(logits);
    return NULL;
}

static void throughput(const char *file, const char *bundle, bool is_ort, size_t threads, double seconds,
                       const int64_t sizes[4]) {
    mimir_session *ours = NULL;
    void *env = is_ort ? ort_env() : NULL;
    if (!is_ort) {
        mimir_model *model = load_model(bundle);
        check_mimir(mimir_session_new(model, NULL, &ours));
        mimir_model_delete(model);
    }
    atomic_bool stop = false;
    worker *workers = calloc(threads, sizeof *workers);
    pthread_t *handles = calloc(threads, sizeof *handles);
    for (size_t i = 0; i < threads; i++)
        workers[i] = (worker){is_ort ? ort_session(env, file) : NULL, ours, sizes, &stop, 0};
    double start = now();
    for (size_t i = 0; i < threads; i++) pthread_create(&handles[i], NULL, call, &workers[i]);
    while (now() - start < seconds) nanosleep(&(struct timespec){0, 10000000}, NULL);
    const double resident = resident_megabytes();
    atomic_store(&stop, true);
    size_t calls = 0;
    for (size_t i = 0; i < threads; i++) {
        pthread_join(handles[i], NULL);
        calls += workers[i].calls;
    }
    double took = now() - start;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%s, %zu threads: %.1f images a second, %.0f MB in memory while they run, at most %.0f MB, as it loads\n",
           is_ort ? "ONNX Runtime" : "mimir", threads, (double)calls / took, resident, (double)usage.ru_maxrss / 1024.0);
}

/* Certificate, signature and policy are checked where a policy asks for them. */
static void load_and_prepare(const char *bundle, const mimir_policy *policy) {
    mimir_model *model = NULL;
    mimir_session *session = NULL;
    check_mimir(mimir_model_load(bundle, policy, &model));
    check_mimir(mimir_session_new(model, NULL, &session));
    mimir_session_delete(session);
    mimir_model_delete(model);
}

static void loading(const char *file, const char *bundle, const char *policy_file, size_t rounds) {
    mimir_policy *policies[] = {mimir_policy_allow_anything(), NULL};
    check_mimir(mimir_policy_from_file(policy_file, &policies[1]));
    void *env = ort_env();
    double *times[3];
    for (size_t who = 0; who < 3; who++) times[who] = calloc(rounds, sizeof(double));
    for (size_t round = 0; round < rounds; round++)
        for (size_t turn = 0; turn < 3; turn++) {
            size_t who = (turn + round) % 3;
            double start = now();
            if (who == 0)
                ((ort_release)ort[ORT_RELEASE_SESSION])(ort_session(env, file));
            else
                load_and_prepare(bundle, policies[who - 1]);
            times[who][round] = now() - start;
        }
    double medians[3];
    for (size_t who = 0; who < 3; who++) medians[who] = median(times[who], rounds) * 1e3;
    printf("to load: ONNX Runtime %.1f ms, mimir %.1f ms, with certificate, signature and policy %.1f ms\n", medians[0],
           medians[1], medians[2]);
}

int main(int argc, char **argv) {
    if (argc >= 6 && argc <= 8) load_ort(argv[1]);
    if (argc == 7 && strcmp(argv[4], "load") == 0) {
        check_mimir(mimir_onnxruntime_load(argv[1]));
        loading(argv[2], argv[3], argv[5], strtoul(argv[6], NULL, 10));
        return 0;
    }
    if (argc == 6) {
        check_mimir(mimir_onnxruntime_load(argv[1]));
        latency(argv[2], argv[3], strtoll(argv[4], NULL, 10), strtoul(argv[5], NULL, 10));
        return 0;
    }
    long long n[4];
    if (argc == 8 && sscanf(argv[7], "%lld,%lld,%lld,%lld", &n[0], &n[1], &n[2], &n[3]) == 4) {
        const int64_t sizes[] = {n[0], n[1], n[2], n[3]};
        check_mimir(mimir_onnxruntime_load(argv[1]));
        throughput(argv[2], argv[3], strcmp(argv[4], "ort") == 0, strtoul(argv[5], NULL, 10), strtod(argv[6], NULL), sizes);
        return 0;
    }
    fprintf(stderr, "usage: see the head of the source\n");
    return 2;
}
