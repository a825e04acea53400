/* As much of ONNX Runtime's C API as the benchmarks call: positions in its table of functions, which are fixed from release to
 * release. (The wheels come without a header.) */
#ifndef ONNXRUNTIME_TABLE_H
#define ONNXRUNTIME_TABLE_H

#include <stddef.h>
#include <stdint.h>

typedef struct OrtApiBase {
    void **(*GetApi)(uint32_t version);
    const char *(*GetVersionString)(void);
} OrtApiBase;

typedef void ort_status; /* NULL: success */

enum ort_position {
    ORT_GET_ERROR_MESSAGE = 2,
    ORT_CREATE_ENV = 3,
    ORT_CREATE_SESSION = 7,
    ORT_RUN = 9,
    ORT_CREATE_SESSION_OPTIONS = 10,
    ORT_SET_OPTIMISATION = 23,
    ORT_SET_INTRA_OP_THREADS = 24,
    ORT_CREATE_TENSOR = 49,
    ORT_CREATE_CPU_MEMORY_INFO = 69,
    ORT_RELEASE_SESSION = 95,
    ORT_RELEASE_VALUE = 96
};

enum { ORT_LOG_WARNING = 2, ORT_OPTIMISE_ALL = 99, ORT_FLOAT = 1, ORT_ARENA = 1, ORT_DEFAULT_MEMORY = 0 };

typedef const char *(*ort_get_error_message)(const ort_status *);
typedef ort_status *(*ort_create_env)(int level, const char *name, void **out);
typedef ort_status *(*ort_create_session)(const void *env, const char *path, const void *options, void **out);
typedef ort_status *(*ort_run)(void *session, const void *options, const char *const *input_names, const void *const *inputs,
                               size_t input_count, const char *const *output_names, size_t output_count, void **outputs);
typedef ort_status *(*ort_create_session_options)(void **out);
typedef ort_status *(*ort_set_number)(void *options, int number);
typedef ort_status *(*ort_create_tensor)(const void *memory, void *data, size_t bytes, const int64_t *shape, size_t rank,
                                         int type, void **out);
typedef ort_status *(*ort_create_cpu_memory_info)(int allocator, int kind, void **out);
typedef void (*ort_release)(void *);

#endif
