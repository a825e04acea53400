/* What the tests of the C interface have in common. Each is a program that ends with 0 if everything held. */
#ifndef MIMIR_TEST_CHECK_H
#define MIMIR_TEST_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mimir.h"

/* Ends the program, and says where, unless something holds. */
#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);      \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

/* A call that must succeed. */
#define OK(call) check_ok(__FILE__, __LINE__, #call, (call))

/* A call that must fail with that code, and say why. */
#define FAILS(call, code) check_fails(__FILE__, __LINE__, #call, (call), (code))

static inline void check_ok(const char *file, int line, const char *text, mimir_error *error) {
    if (error != NULL) {
        fprintf(stderr, "%s:%d: %s failed: %s\n", file, line, text, mimir_error_message(error));
        exit(1);
    }
}

static inline void check_fails(const char *file, int line, const char *text, mimir_error *error, int32_t code) {
    if (error == NULL || mimir_error_code(error) != code || strlen(mimir_error_message(error)) == 0) {
        fprintf(stderr, "%s:%d: %s: wanted code %d, got %d: %s\n", file, line, text, code, mimir_error_code(error),
                mimir_error_message(error));
        exit(1);
    }
    mimir_error_delete(error);
}

/* The text that FUNCTION(OBJECT, buffer, capacity, needed) writes; freed by the caller. */
#define TEXT(result, function, object)                                       \
    do {                                                                     \
        size_t needed_ = 0;                                                  \
        OK(function(object, NULL, 0, &needed_));                             \
        (result) = malloc(needed_);                                          \
        CHECK((result) != NULL);                                             \
        OK(function(object, (result), needed_, &needed_));                   \
        CHECK(strlen(result) + 1 == needed_);                                \
    } while (0)

static inline mimir_model *load_anything(const char *path) {
    mimir_policy *policy = mimir_policy_allow_anything();
    mimir_model *model = NULL;
    OK(mimir_model_load(path, policy, &model));
    mimir_policy_delete(policy);
    return model;
}

/* Images that differ from each other, the same each time. */
static inline float *some_pixels(size_t count) {
    float *pixels = malloc(count * sizeof *pixels);
    CHECK(pixels != NULL);
    uint32_t state = 1;
    for (size_t index = 0; index < count; index++) {
        state = 1664525u * state + 1013904223u;
        pixels[index] = (float)(state >> 8) / 16777216.0f;
    }
    return pixels;
}

static inline unsigned char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    long end = ftell(file);
    CHECK(end >= 0 && fseek(file, 0, SEEK_SET) == 0);
    unsigned char *bytes = malloc((size_t)end + 1);
    CHECK(bytes != NULL && fread(bytes, 1, (size_t)end, file) == (size_t)end);
    fclose(file);
    *length = (size_t)end;
    return bytes;
}

#endif
