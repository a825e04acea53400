/* libmimir_runtime: predictions of image classifiers that met their policy.
 *
 * This header is the specification of the library. A program loads a policy and a model, makes a session, and asks it:
 *
 *     mimir_policy *policy = NULL;
 *     mimir_model *model = NULL;
 *     mimir_session *session = NULL;
 *     mimir_error *error = mimir_policy_from_file("policy.toml", &policy);
 *     if (error == NULL) error = mimir_model_load("model.mimir", policy, &model);
 *     if (error == NULL) error = mimir_session_new(model, NULL, &session);
 *     if (error == NULL)
 *         error = mimir_session_classify(session, pixels, pixels_len, 1, NULL, 0.0f, &prediction, 1);
 *     if (error != NULL) fprintf(stderr, "%s\n", mimir_error_message(error));
 *     mimir_error_delete(error);
 *     mimir_session_delete(session);
 *     mimir_model_delete(model);
 *     mimir_policy_delete(policy);
 *
 * RULES THAT HOLD EVERYWHERE
 *
 * Errors. A function that can fail returns `mimir_error *`: NULL when it succeeded, else an error that the caller owns and
 * deletes. Results go through the last parameters, which are left as they were when it failed (buffers of numbers excepted:
 * what is in them after an error is nothing in particular). NULL, wrong lengths, values out of range, text that is no UTF-8
 * and numbers that are no enumerator are errors with the code MIMIR_ERROR_INVALID_ARGUMENT. Functions that cannot fail return
 * their value; of NULL they return 0, NaN, "" or NULL, as each says.
 *
 * What is undefined: a pointer that is not NULL and does not point to what the parameter asks for, a handle that was deleted,
 * and memory that another thread writes while a call reads it.
 *
 * Ownership. What `_new`, `_allow_anything`, `_from_…`, `_load…`, `_clone` and parameters named `out` give belongs to the
 * caller, who calls the `_delete` of its type once. `_delete(NULL)` does nothing. What accessors return belongs to its owner,
 * lives as long as that, and is not freed. The library keeps no memory of the caller after a call has returned, and frees
 * none; the buffers of asynchronous calls are the exception, and say so. Handles keep alive what they need: a model may be
 * deleted before its sessions, and frees the bytes of its bundle then.
 *
 * Threads. `const mimir_x *` may be used by any number of threads at once, `mimir_x *` by one at a time; which thread that is
 * does not matter. Deleting is use by one thread, after all others are done.
 *
 * Text is UTF-8. Text in ends in a zero byte or comes with its length; text out ends in a zero byte. Paths are UTF-8.
 * A function with `buffer, capacity, needed` writes the text with its zero byte where `capacity` is enough, and nothing where
 * it is not; `*needed` is the number of bytes it needs, the zero byte included. `buffer` may be NULL where `capacity` is 0.
 *
 * Images are `float`, N x C x H x W, contiguous, pixels in [0, 1], red before green before blue; N is `batch`. Lengths are in
 * elements, never in bytes. Pointers to `float` must be aligned to 4 bytes. Inputs and outputs must not overlap.
 *
 * The process. The library installs no signal handler and no logger, writes to no stream, changes no environment variable and
 * no floating-point mode, and never exits. (A fault of the library itself, MIMIR_ERROR_INTERNAL, may have written one line to
 * standard error.) Its only global state is ONNX Runtime, which is loaded with the first session and stays; there is one of it
 * in a process. Environment variables that it reads: MIMIR_ORT_DYLIB and ORT_DYLIB_PATH, where ONNX Runtime is. After fork()
 * without exec, a child must not use handles of its parent.
 *
 * Versions. Within one MIMIR_ABI_VERSION, functions, enumerators and codes are only added; structs never change. See
 * docs/c-api.md.
 */
#ifndef MIMIR_H
#define MIMIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mimir_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The compiler warns where an error is not looked at. */
#if defined(__GNUC__) || defined(__clang__)
#define MIMIR_MUST_CHECK __attribute__((warn_unused_result))
#else
#define MIMIR_MUST_CHECK
#endif

/* ---- Version ------------------------------------------------------------------------------------------------------------ */

#define MIMIR_VERSION_MAJOR 0
#define MIMIR_VERSION_MINOR 1
#define MIMIR_VERSION_PATCH 0
#define MIMIR_VERSION "0.1.0"

/* Number of the soname: libmimir_runtime.so.1. */
#define MIMIR_ABI_VERSION 1

/* The version of the library that is running, such as "0.1.0". Compare with MIMIR_VERSION. Static. */
const char *mimir_version(void);

/* The ABI version of the library that is running. A program that finds another one than MIMIR_ABI_VERSION must not go on. */
int32_t mimir_abi_version(void);

/* ---- Errors ------------------------------------------------------------------------------------------------------------- */

/* Why a call failed. Deleted with mimir_error_delete. */
typedef struct mimir_error mimir_error;

/* What kind of error it is. Values are fixed; later versions may add some. */
enum mimir_error_code {
    MIMIR_OK = 0,                     /* No error: the code of NULL. */
    MIMIR_ERROR_INVALID_ARGUMENT = 1, /* An argument cannot be; calls in a wrong order. */
    MIMIR_ERROR_IO = 2,               /* A file cannot be read or written. */
    MIMIR_ERROR_FORMAT = 3,           /* Bytes do not have the form that their format asks for. */
    MIMIR_ERROR_DIGEST_MISMATCH = 4,  /* Files do not belong together: another digest, size or model. */
    MIMIR_ERROR_UNSUPPORTED = 5,      /* Well formed, but not supported: an operator, a version, a device. */
    MIMIR_ERROR_POLICY = 6,           /* The model does not meet the policy: see mimir_error_requirement. */
    MIMIR_ERROR_ENGINE = 7,           /* The engine is missing, or failed. */
    MIMIR_ERROR_CANCELLED = 8,        /* mimir_limits_cancel or mimir_request_cancel ended the call. */
    MIMIR_ERROR_DEADLINE = 9,         /* The time of the call was over. */
    MIMIR_ERROR_LIMIT = 10,           /* More bytes, nodes or memory than is allowed. */
    MIMIR_ERROR_INTERNAL = 11         /* A fault of this library. */
};

/* One of mimir_error_code; MIMIR_OK for NULL. */
int32_t mimir_error_code(const mimir_error *error);

/* One or two sentences: what was found, what was wanted, the way out. "" for NULL. Lives as long as the error. */
const char *mimir_error_message(const mimir_error *error);

/* How many requirements of the policy are not met; 0 for errors of another code and for NULL. */
size_t mimir_error_requirement_count(const mimir_error *error);

/* A requirement that is not met: "PART: NAME: wanted …, found …". NULL where there is none of that index. Lives as long as
 * the error. */
const char *mimir_error_requirement(const mimir_error *error, size_t index);

void mimir_error_delete(mimir_error *error);

/* ---- Build and engines -------------------------------------------------------------------------------------------------- */

/* What the library is, as a JSON object: "version", "abi_version", "commit" (or null), "target", "attacks", "rten" (version of
 * the engine that is linked in), "onnxruntime": null until it is loaded, then an object of "version" and "path". */
MIMIR_MUST_CHECK mimir_error *mimir_build_info(char *buffer, size_t capacity, size_t *needed);

/* Loads ONNX Runtime now rather than with the first session. `path` is the file; with NULL it is looked for, in this order:
 * beside this library and in a folder `mimir` there; the file that the environment variable MIMIR_ORT_DYLIB, or else
 * ORT_DYLIB_PATH, names; the system's loader. (Linked statically: the variables; with the program, as its commands look for it;
 * the system's loader.) Releases from 1.24 are taken. Where it is loaded already this does nothing, and another `path` is an
 * error.
 *
 * MIMIR_ERROR_ENGINE: there is none; the message names the ways to give one. Calls from several threads wait for each other. */
MIMIR_MUST_CHECK mimir_error *mimir_onnxruntime_load(const char *path);

/* ---- Policy ------------------------------------------------------------------------------------------------------------- */

/* What a model must show before it is loaded. Every requirement must be met. docs/policy.md describes the file. */
typedef struct mimir_policy mimir_policy;

/* The norm of a perturbation. */
enum mimir_norm { MIMIR_NORM_LINF = 1, MIMIR_NORM_L2 = 2, MIMIR_NORM_L1 = 3 };

/* Which number of a certificate is compared. */
enum mimir_compared {
    MIMIR_COMPARED_ESTIMATE = 1, /* The share of the certificate's images. */
    MIMIR_COMPARED_LOWER = 2     /* The lower end of its two-sided 95 % interval (Clopper-Pearson). */
};

/* A policy that asks for nothing yet. A model is loaded with it only after something was required. NULL: no memory. */
mimir_policy *mimir_policy_new(void);

/* A policy that every model meets, for those who mean it. Nothing can be required of it. NULL: no memory. */
mimir_policy *mimir_policy_allow_anything(void);

/* Reads policy.toml. Keys that it names by files are read from its folder.
 * MIMIR_ERROR_INVALID_ARGUMENT: it cannot be read, or asks for what cannot be. */
MIMIR_MUST_CHECK mimir_error *mimir_policy_from_file(const char *path, mimir_policy **out);

/* The same of a text in memory, which names no files. It need not end in a zero byte. */
MIMIR_MUST_CHECK mimir_error *mimir_policy_from_text(const char *text, size_t text_len, mimir_policy **out);

/* A copy; of NULL, NULL. */
mimir_policy *mimir_policy_clone(const mimir_policy *policy);

void mimir_policy_delete(mimir_policy *policy);

/* Requires a signature by this public key (SPKI in PEM, Ed25519 or ECDSA P-256), or by another that the policy trusts. The
 * key of an id that the policy names is given in the same way. */
MIMIR_MUST_CHECK mimir_error *mimir_policy_trust_key(mimir_policy *policy, const char *pem, size_t pem_len);

/* Requires signatures by so many of the trusted keys, 1 or more. After mimir_policy_trust_key. */
MIMIR_MUST_CHECK mimir_error *mimir_policy_require_signatures(mimir_policy *policy, size_t least);

/* Requires a model with this digest: 64 lowercase hexadecimal digits, as mimir_model_digest gives them. Called again, another
 * digest is accepted too. */
MIMIR_MUST_CHECK mimir_error *mimir_policy_require_digest(mimir_policy *policy, const char *sha256);

/* Requires a certificate of an evaluation in a ball at least as large: `norm` is a mimir_norm, `epsilon` the radius in pixels of
 * [0, 1], such as 8.0 / 255. What is required after this is required of the same certificate. Called again, another
 * certificate is required besides. */
MIMIR_MUST_CHECK mimir_error *mimir_policy_require_ball(mimir_policy *policy, int32_t norm, double epsilon);

/* Requires an attacked accuracy of at least `least`, in [0, 1]; `compared` is a mimir_compared. It is an upper bound of the
 * robust accuracy, never a proof, and says nothing without its attacks: require a preset or attacks too.
 * This and those below: MIMIR_ERROR_INVALID_ARGUMENT where no ball was required before. */
MIMIR_MUST_CHECK mimir_error *mimir_policy_require_attacked_accuracy(mimir_policy *policy, double least, int32_t compared);

/* Requires an accuracy on the images as they are of at least `least`, in [0, 1]. */
MIMIR_MUST_CHECK mimir_error *mimir_policy_require_clean_accuracy(mimir_policy *policy, double least);

/* Requires the attacks of a preset, "standard", "plus", "rand", "fast" or "mimir", with its parameters or more. */
MIMIR_MUST_CHECK mimir_error *mimir_policy_require_preset(mimir_policy *policy, const char *name);

/* Requires an attack, such as "apgd-ce", with its customary parameters or more. */
MIMIR_MUST_CHECK mimir_error *mimir_policy_require_attack(mimir_policy *policy, const char *name);

/* Requires that the evaluation had at least so many images, 1 or more. */
MIMIR_MUST_CHECK mimir_error *mimir_policy_require_samples(mimir_policy *policy, size_t least);

/* Requires that the certificate is at most so old when the model is loaded. */
MIMIR_MUST_CHECK mimir_error *mimir_policy_require_max_age(mimir_policy *policy, uint64_t seconds);

/* Refuses certificates with warnings that weaken their numbers. */
MIMIR_MUST_CHECK mimir_error *mimir_policy_deny_warnings(mimir_policy *policy);

/* ---- Certificate -------------------------------------------------------------------------------------------------------- */

/* The record of an evaluation. Those of a model belong to it. */
typedef struct mimir_certificate mimir_certificate;

/* A share of images with its interval. Never changes. */
typedef struct mimir_interval {
    double estimate;   /* Share of the evaluation's images, in [0, 1]. */
    double lower;      /* Lower end of the two-sided Clopper-Pearson interval. */
    double upper;      /* Upper end. */
    double confidence; /* Of the interval: 0.95. */
} mimir_interval;

/* A mimir_norm; 0 for NULL. */
int32_t mimir_certificate_norm(const mimir_certificate *certificate);

/* The radius in pixels of [0, 1]; NaN for NULL. */
double mimir_certificate_epsilon(const mimir_certificate *certificate);

/* Images of the evaluation; 0 for NULL. */
size_t mimir_certificate_sample_count(const mimir_certificate *certificate);

/* The accuracy on the images as they are. */
MIMIR_MUST_CHECK mimir_error *mimir_certificate_clean_accuracy(const mimir_certificate *certificate, mimir_interval *interval);

/* The share of the images that no attack broke: an upper bound of the robust accuracy on them, never a proof. */
MIMIR_MUST_CHECK mimir_error *mimir_certificate_attacked_accuracy(const mimir_certificate *certificate,
                                                                  mimir_interval *interval);

/* How many attacks ran; 0 for NULL. */
size_t mimir_certificate_attack_count(const mimir_certificate *certificate);

/* The name of an attack, in the order in which they ran; NULL where there is none of that index. */
const char *mimir_certificate_attack_name(const mimir_certificate *certificate, size_t index);

/* When the evaluation ended, RFC 3339 in UTC; NULL for NULL. */
const char *mimir_certificate_created_at(const mimir_certificate *certificate);

/* The engine of the evaluation, "onnxruntime" or "rten", and its version; NULL for NULL. */
const char *mimir_certificate_engine(const mimir_certificate *certificate);
const char *mimir_certificate_engine_version(const mimir_certificate *certificate);

/* Images in a call of the engine during the evaluation; 0 for NULL. */
size_t mimir_certificate_batch(const mimir_certificate *certificate);

/* All of it as JSON, which docs/certificate.schema.json describes. */
MIMIR_MUST_CHECK mimir_error *mimir_certificate_to_json(const mimir_certificate *certificate, char *buffer, size_t capacity,
                                                        size_t *needed);

/* A copy that is the caller's; of NULL, NULL. */
mimir_certificate *mimir_certificate_clone(const mimir_certificate *certificate);

/* Only for what mimir_certificate_clone gave. */
void mimir_certificate_delete(mimir_certificate *certificate);

/* ---- Model -------------------------------------------------------------------------------------------------------------- */

/* A model that met its policy. It is never changed. */
typedef struct mimir_model mimir_model;

/* Loads the model of a bundle, a folder or one .mimir file (docs/bundle-format.md), if it meets the policy.
 *
 * Every file is read once. Sizes, digests, certificates, signature and policy are checked on those bytes before the reader of
 * ONNX files or an engine sees any of them, and nothing is read again. Nothing outside the bundle is read. `policy` is needed
 * only during the call; NULL is an error, so that nobody leaves it out by accident.
 *
 * MIMIR_ERROR_POLICY: the requirements that are not met. MIMIR_ERROR_IO, _FORMAT, _DIGEST_MISMATCH, _LIMIT: the bundle has a
 * fault. MIMIR_ERROR_UNSUPPORTED: its model cannot be served. */
MIMIR_MUST_CHECK mimir_error *mimir_model_load(const char *path, const mimir_policy *policy, mimir_model **out);

/* The same of the bytes of a .mimir file. They are copied. */
MIMIR_MUST_CHECK mimir_error *mimir_model_load_memory(const uint8_t *bytes, size_t bytes_len, const mimir_policy *policy,
                                                      mimir_model **out);

/* The same model once more, without a copy of its weights; of NULL, NULL. */
mimir_model *mimir_model_clone(const mimir_model *model);

void mimir_model_delete(mimir_model *model);

/* Channels, height and width of an image. `shape_len` is 3. */
MIMIR_MUST_CHECK mimir_error *mimir_model_input_shape(const mimir_model *model, size_t *shape, size_t shape_len);

/* Values of an image, C * H * W; 0 for NULL. */
size_t mimir_model_input_len(const mimir_model *model);

/* Classes; 0 for NULL. */
size_t mimir_model_class_count(const mimir_model *model);

/* The name of a class; NULL where the bundle names none, or there is none of that index. */
const char *mimir_model_class_name(const mimir_model *model, size_t index);

/* SHA-256 of the model's files in 64 lowercase hexadecimal digits, as certificates and policies have it; NULL for NULL. */
const char *mimir_model_digest(const mimir_model *model);

/* Certificates of the bundle, each of another threat model; 0 for NULL. The policy has asked of them what it asks; those that
 * it does not ask for were only checked to be of this model. */
size_t mimir_model_certificate_count(const mimir_model *model);

/* A certificate, in ascending order of their files' names; NULL where there is none of that index. It belongs to the model. */
const mimir_certificate *mimir_model_certificate(const mimir_model *model, size_t index);

/* Outputs of the model besides the scores, which mimir_session_features gives: how many there are, their names, and how many
 * values one image has; 0, NULL and 0 where there is none. */
size_t mimir_model_feature_count(const mimir_model *model);
const char *mimir_model_feature_name(const mimir_model *model, size_t index);
size_t mimir_model_feature_len(const mimir_model *model, size_t index);

/* The bundle's description of the model as JSON, which docs/bundle-manifest.schema.json describes. */
MIMIR_MUST_CHECK mimir_error *mimir_model_manifest_json(const mimir_model *model, char *buffer, size_t capacity,
                                                        size_t *needed);

/* Makes an image of a picture of 8 bits, as the bundle says and as an evaluation does it: resized and cropped (by Pillow's
 * arithmetic, bit for bit), divided by 255, in planes.
 *
 * `bytes` has `height` rows of `width` pixels of `channels` bytes: 1 is grey, 3 red, green, blue, and 4 has alpha, which is
 * dropped unless the model takes it. Rows are `row_stride` bytes apart, at least width * channels; `bytes_len` is at least
 * (height - 1) * row_stride + width * channels. Grey becomes three equal channels; where the model takes one, all pixels must
 * be grey. `pixels_len` is mimir_model_input_len.
 *
 * MIMIR_ERROR_INVALID_ARGUMENT: a length does not fit, or the bundle has no preprocessing and the picture another size. */
MIMIR_MUST_CHECK mimir_error *mimir_model_prepare(const mimir_model *model, const uint8_t *bytes, size_t bytes_len,
                                                  size_t width, size_t height, size_t channels, size_t row_stride,
                                                  float *pixels, size_t pixels_len);

/* ---- Session options ---------------------------------------------------------------------------------------------------- */

/* How a model runs. Used only during mimir_session_new. */
typedef struct mimir_session_options mimir_session_options;

enum mimir_engine {
    MIMIR_ENGINE_ONNXRUNTIME = 1, /* The default. Absent, it is an error within a second. */
    MIMIR_ENGINE_RTEN = 2,        /* Linked in, always there; fewer operators, the processor only. */
    MIMIR_ENGINE_ANY = 3          /* ONNX Runtime, or rten where nobody named one and none is found. */
};

enum mimir_batching {
    /* A call of the engine has the images that it is given, up to the largest batch. The default, and the quickest. An engine
     * may round the logits of an image differently in another number of images. */
    MIMIR_BATCHING_DYNAMIC = 1,
    /* A call of the engine has as many images as in the evaluation, missing ones are copies of the last. With the engine and
     * the processor of the certificate, the logits of an image are those of the evaluation to the last bit, whatever other
     * images are asked about with it. */
    MIMIR_BATCHING_CERTIFIED = 2
};

enum mimir_log_level { MIMIR_LOG_DEBUG = 1, MIMIR_LOG_INFO = 2, MIMIR_LOG_WARNING = 3, MIMIR_LOG_ERROR = 4 };

/* Takes a message of an engine: a mimir_log_level and a text, which lives during the call. It may come from any thread, from
 * several at once, also from those of the engine. It must not call this library for the same session, and must not throw. */
typedef void (*mimir_log_callback)(int32_t level, const char *message, void *payload);

/* Options with the defaults that each function names. NULL: no memory. */
mimir_session_options *mimir_session_options_new(void);

void mimir_session_options_delete(mimir_session_options *options);

/* A mimir_engine. Default: MIMIR_ENGINE_ONNXRUNTIME. */
MIMIR_MUST_CHECK mimir_error *mimir_session_options_set_engine(mimir_session_options *options, int32_t engine);

/* The file of ONNX Runtime, as in mimir_onnxruntime_load. */
MIMIR_MUST_CHECK mimir_error *mimir_session_options_set_onnxruntime(mimir_session_options *options, const char *path);

/* "cpu", "cuda:N" or "tensorrt:N". Default: "cpu". A device that cannot be used is an error of mimir_session_new; there is no
 * silent way back to the processor. */
MIMIR_MUST_CHECK mimir_error *mimir_session_options_set_device(mimir_session_options *options, const char *device);

/* Threads inside an operator, 1 to 1024, in one pool that all calls of the session share. With 1, the default, each call is
 * computed by the thread that makes it: the choice for servers with many threads. No bit of a result depends on it. */
MIMIR_MUST_CHECK mimir_error *mimir_session_options_set_threads(mimir_session_options *options, size_t count);

/* Whether threads of the pool that wait for work keep their cores busy: quicker for one session alone on its cores, slower
 * beside others. Default: false. */
MIMIR_MUST_CHECK mimir_error *mimir_session_options_set_spinning(mimir_session_options *options, bool spinning);

/* A mimir_batching. Default: MIMIR_BATCHING_DYNAMIC. Where the model's file fixes the batch, that is used in any case. */
MIMIR_MUST_CHECK mimir_error *mimir_session_options_set_batching(mimir_session_options *options, int32_t batching);

/* Images in a call of the engine at most, 1 to 1048576. More images are run one part after the other. Default: 64. */
MIMIR_MUST_CHECK mimir_error *mimir_session_options_set_max_batch(mimir_session_options *options, size_t images);

/* Bytes that one call of the engine may need; 0, the default, for any number. What weights and values of the largest batch need
 * is worked out from the shapes in the file before anything is allocated, and more is MIMIR_ERROR_LIMIT of mimir_session_new.
 * A model whose shapes only an engine can work out is then MIMIR_ERROR_UNSUPPORTED. An engine takes some more for itself. */
MIMIR_MUST_CHECK mimir_error *mimir_session_options_set_memory_limit(mimir_session_options *options, uint64_t bytes);

/* How long mimir_session_new may take, its warm-up included, before it fails with MIMIR_ERROR_DEADLINE; 0, the default, for any
 * time. ONNX Runtime only. A model whose shapes only an engine can work out is then MIMIR_ERROR_UNSUPPORTED. */
MIMIR_MUST_CHECK mimir_error *mimir_session_options_set_timeout(mimir_session_options *options, uint64_t milliseconds);

/* Calls of a full batch in mimir_session_new, so that the first call of the caller is as quick as the others. Default: 0. */
MIMIR_MUST_CHECK mimir_error *mimir_session_options_set_warm_up(mimir_session_options *options, size_t calls);

/* Whether mimir_session_features can be called: a second session of the engine, with its memory. Default: false. */
MIMIR_MUST_CHECK mimir_error *mimir_session_options_set_features(mimir_session_options *options, bool features);

/* Whether ONNX Runtime records a profile, in a temporary folder: see mimir_session_profile_json. Default: false. */
MIMIR_MUST_CHECK mimir_error *mimir_session_options_set_profile(mimir_session_options *options, bool profile);

/* Threads that make asynchronous calls, 1 to 1024. They are started with the first such call. Default: 1. */
MIMIR_MUST_CHECK mimir_error *mimir_session_options_set_workers(mimir_session_options *options, size_t count);

/* Where messages of that level and above go; NULL, the default, for nowhere. `payload` is handed to `callback`, which is not
 * called any more once mimir_session_delete has returned. */
MIMIR_MUST_CHECK mimir_error *mimir_session_options_set_logger(mimir_session_options *options, int32_t level,
                                                               mimir_log_callback callback, void *payload);

/* ---- Limits ------------------------------------------------------------------------------------------------------------- */

/* What ends calls before they have finished. One of these may be given to any number of calls, at once too.
 *
 * ONNX Runtime looks between two operators, so that a call ends at most one operator late. rten looks only before a call
 * begins, and a part of more images than the largest batch. */
typedef struct mimir_limits mimir_limits;

/* No limit yet. NULL: no memory. */
mimir_limits *mimir_limits_new(void);

/* Each call must have ended this long after it began, else it fails with MIMIR_ERROR_DEADLINE; 0 for any time. */
MIMIR_MUST_CHECK mimir_error *mimir_limits_set_timeout(mimir_limits *limits, uint64_t milliseconds);

/* Ends the calls that these limits were given to, and all that they are given to later: they fail with
 * MIMIR_ERROR_CANCELLED. Any thread may call it while others run. */
void mimir_limits_cancel(const mimir_limits *limits);

/* After the calls that they were given to have returned. */
void mimir_limits_delete(mimir_limits *limits);

/* ---- Session ------------------------------------------------------------------------------------------------------------ */

/* Runs a model, for any number of threads at once. Weights are in memory once, whatever the number of threads. On other
 * devices than the processor, calls wait for each other. */
typedef struct mimir_session mimir_session;

/* The answer about one image. Never changes. */
typedef struct mimir_prediction {
    int32_t class_index; /* The first of the largest scores; -1 where the scores hold NaN or +infinity and mean nothing. */
    int32_t abstained;   /* 1 where the margin is below the least one, or class_index is -1; else 0. */
    float probability;   /* Share of the class among the exponentials of the logits, or what the model returns as its
                          * probability; NaN where its scores are neither, or there is no class. */
    float margin;        /* Score of the class less the next one; NaN where there is no class. */
} mimir_prediction;

/* Makes a session. `options` may be NULL for the defaults.
 *
 * MIMIR_ERROR_ENGINE: the engine is missing or refuses the model. MIMIR_ERROR_LIMIT: the memory limit. */
MIMIR_MUST_CHECK mimir_error *mimir_session_new(const mimir_model *model, const mimir_session_options *options,
                                                mimir_session **out);

void mimir_session_delete(mimir_session *session);

/* "onnxruntime" or "rten"; "" for NULL. */
const char *mimir_session_engine(const mimir_session *session);

/* Images in a call of the engine, at most; 0 for NULL. */
size_t mimir_session_max_batch(const mimir_session *session);

/* Images in every call of the engine, where it has no other number; 0 where it has, and for NULL. */
size_t mimir_session_fixed_batch(const mimir_session *session);

/* Writes the logits, batch x classes, as the model's file computes them. `pixels_len` is batch * mimir_model_input_len,
 * `logits_len` batch * mimir_model_class_count. `limits` may be NULL. The engine reads pixels and writes logits where they are,
 * without a copy (but for images that are filled up to a fixed batch).
 *
 * MIMIR_ERROR_INVALID_ARGUMENT: a length does not fit, or a pixel is NaN or not in [0, 1]; the message says which. */
MIMIR_MUST_CHECK mimir_error *mimir_session_logits(const mimir_session *session, const float *pixels, size_t pixels_len,
                                                   size_t batch, const mimir_limits *limits, float *logits,
                                                   size_t logits_len);

/* Says what the model says about each image. `least_margin` is 0 or more: predictions with a smaller margin abstain.
 * `predictions_len` is `batch`. As mimir_session_logits otherwise. */
MIMIR_MUST_CHECK mimir_error *mimir_session_classify(const mimir_session *session, const float *pixels, size_t pixels_len,
                                                     size_t batch, const mimir_limits *limits, float least_margin,
                                                     mimir_prediction *predictions, size_t predictions_len);

/* Writes a feature, batch x mimir_model_feature_len. As mimir_session_logits otherwise.
 * MIMIR_ERROR_INVALID_ARGUMENT: there is none of that index, or the session was made without features. */
MIMIR_MUST_CHECK mimir_error *mimir_session_features(const mimir_session *session, size_t feature, const float *pixels,
                                                     size_t pixels_len, size_t batch, const mimir_limits *limits,
                                                     float *values, size_t values_len);

/* The profile of ONNX Runtime from the making of the session to the first call of this, which ends the recording, as JSON:
 * an array of events in the format of chrome://tracing. MIMIR_ERROR_INVALID_ARGUMENT: none was asked for. */
MIMIR_MUST_CHECK mimir_error *mimir_session_profile_json(const mimir_session *session, char *buffer, size_t capacity,
                                                         size_t *needed);

/* ---- Asynchronous calls ------------------------------------------------------------------------------------------------- */

/* A call that returned at once and is made by a thread of the session (mimir_session_options_set_workers). */
typedef struct mimir_request mimir_request;

/* Told once how a call ended, on a thread of the session: NULL, or an error, which then belongs to the callback. It must not
 * throw, and should return soon: other calls wait for the thread. It may make calls and delete the request. */
typedef void (*mimir_done_callback)(mimir_error *error, void *payload);

/* As mimir_session_logits and mimir_session_classify, but they return when the call has been accepted. `pixels` and the output
 * must stay, and nobody else may use the output, until `callback` has been called. It is called exactly once if the function
 * succeeded, and never if it failed. The time of `limits` begins now, also for a call that waits; `limits` may be deleted as
 * soon as the function has returned.
 *
 * mimir_session_delete waits for calls that run; those that wait fail with MIMIR_ERROR_CANCELLED. When it has returned, every
 * callback has. In a callback it must not be called. */
MIMIR_MUST_CHECK mimir_error *mimir_session_logits_async(const mimir_session *session, const float *pixels,
                                                         size_t pixels_len, size_t batch, const mimir_limits *limits,
                                                         float *logits, size_t logits_len, mimir_done_callback callback,
                                                         void *payload, mimir_request **out);
MIMIR_MUST_CHECK mimir_error *mimir_session_classify_async(const mimir_session *session, const float *pixels,
                                                           size_t pixels_len, size_t batch, const mimir_limits *limits,
                                                           float least_margin, mimir_prediction *predictions,
                                                           size_t predictions_len, mimir_done_callback callback,
                                                           void *payload, mimir_request **out);

/* Ends the call: it fails with MIMIR_ERROR_CANCELLED, unless it has finished. The callback is called in any case. */
void mimir_request_cancel(const mimir_request *request);

/* Waits for so long, UINT64_MAX for ever, until the callback has returned. Whether it has; true for NULL. */
bool mimir_request_wait(const mimir_request *request, uint64_t milliseconds);

/* Forgets the request. The call goes on. */
void mimir_request_delete(mimir_request *request);

/* ---- Evaluation --------------------------------------------------------------------------------------------------------- */

#ifdef MIMIR_HAS_ATTACKS

/* What an evaluation does. */
typedef struct mimir_certify_options mimir_certify_options;

/* What an evaluation found. It is never changed. */
typedef struct mimir_evaluation mimir_evaluation;

/* What became of an image. Values are fixed; later versions may add some. */
enum mimir_verdict {
    MIMIR_VERDICT_MISCLASSIFIED = 1, /* The model is wrong about the image as it is: it was not attacked. */
    MIMIR_VERDICT_BROKEN = 2,        /* An attack found a misclassified image in the ball, and the model confirmed it. */
    MIMIR_VERDICT_STILL_ROBUST = 3,  /* No attack broke it. That is no proof: a stronger one might. */
    MIMIR_VERDICT_NOT_FINITE = 4,    /* NaN or infinity among the scores, of it or in the ball: it is not robust. */
    MIMIR_VERDICT_UNFINISHED = 5     /* Nothing had broken it when the evaluation was ended. */
};

/* Told how far an evaluation is: the stage, "clean", the name of an attack, "curve", "verify", "float64_margins" and maybe more;
 * images that this stage has finished and works on; images that are robust so far. It comes from threads of the library, one at
 * a time, during mimir_certify and mimir_attack only. An answer that is not 0 ends the evaluation in order. It must not throw. */
typedef int32_t (*mimir_progress_callback)(const char *stage, size_t finished, size_t images, size_t still_robust,
                                           void *payload);

/* Attacks within the ball of that norm (a mimir_norm) and radius, in pixels of [0, 1]: by default those of AutoAttack's standard
 * version, on all images, with seed 0, on ONNX Runtime on the processor. */
MIMIR_MUST_CHECK mimir_error *mimir_certify_options_new(int32_t norm, double epsilon, mimir_certify_options **out);

void mimir_certify_options_delete(mimir_certify_options *options);

/* Attacks and presets, separated by commas: "standard", or "apgd-ce,square". */
MIMIR_MUST_CHECK mimir_error *mimir_certify_options_set_attacks(mimir_certify_options *options, const char *names);

/* Only the first so many images; 0 for all. */
MIMIR_MUST_CHECK mimir_error *mimir_certify_options_set_first(mimir_certify_options *options, size_t images);

/* The key of all random numbers. */
MIMIR_MUST_CHECK mimir_error *mimir_certify_options_set_seed(mimir_certify_options *options, uint64_t seed);

/* As mimir_session_options_set_device. */
MIMIR_MUST_CHECK mimir_error *mimir_certify_options_set_device(mimir_certify_options *options, const char *device);

/* A folder for the report, the certificate and the counterexamples. One that an evaluation was interrupted in is gone on with. */
MIMIR_MUST_CHECK mimir_error *mimir_certify_options_set_report(mimir_certify_options *options, const char *folder);

/* Whether the certificate is written into the bundle. A signature of what it was before is set aside. Default: false. */
MIMIR_MUST_CHECK mimir_error *mimir_certify_options_set_write_certificate(mimir_certify_options *options, bool write);

/* Attacks the model of a bundle, or an ONNX file, on labelled images: `images` is SCHEME:PATH as `mimir-certify --data` takes
 * it, such as "npz:images.npz" or "cifar10:FOLDER". It takes minutes to hours on all cores. `callback` may be NULL. Certifying
 * asks for no policy: it makes what policies ask for. An ONNX file must take pixels in [0, 1]; a bundle says what its model
 * takes.
 *
 * MIMIR_ERROR_UNSUPPORTED: also where the graphs that would be searched are not the function of the file.
 * MIMIR_ERROR_CANCELLED: it was ended before there was anything to report. */
MIMIR_MUST_CHECK mimir_error *mimir_certify(const char *path, const char *images, const mimir_certify_options *options,
                                            mimir_progress_callback callback, void *payload, mimir_evaluation **out);

/* The same for images in memory, and the perturbed images are kept for mimir_evaluation_perturbed. `labels_len` is the number of
 * images, `labels` their classes; `pixels_len` is labels_len times the values of an image, C * H * W as the bundle says, or the
 * ONNX file shows. They are copied. A report and a certificate name "memory" as the source, with the digests of the images.
 *
 * Perturbed images are in a temporary file without a name until the evaluation is deleted, or in the folder of the report.
 *
 * MIMIR_ERROR_INVALID_ARGUMENT: a length does not fit, a pixel is NaN or not in [0, 1], or the model has no such class.
 * MIMIR_ERROR_UNSUPPORTED: as of mimir_certify, and where an ONNX file does not show the size of its images. */
MIMIR_MUST_CHECK mimir_error *mimir_attack(const char *path, const float *pixels, size_t pixels_len, const uint32_t *labels,
                                           size_t labels_len, const mimir_certify_options *options,
                                           mimir_progress_callback callback, void *payload, mimir_evaluation **out);

/* The certificate, which belongs to the evaluation; NULL where it was ended early, and for NULL. */
const mimir_certificate *mimir_evaluation_certificate(const mimir_evaluation *evaluation);

/* The report as JSON, which docs/report.schema.json describes, and as a summary for people. */
MIMIR_MUST_CHECK mimir_error *mimir_evaluation_report_json(const mimir_evaluation *evaluation, char *buffer, size_t capacity,
                                                           size_t *needed);
MIMIR_MUST_CHECK mimir_error *mimir_evaluation_summary(const mimir_evaluation *evaluation, char *buffer, size_t capacity,
                                                       size_t *needed);

/* Images that were evaluated; 0 for NULL. In what follows, `image` is counted from 0, in the order of the images. */
size_t mimir_evaluation_image_count(const mimir_evaluation *evaluation);

/* A mimir_verdict; 0 where there is no such image. */
int32_t mimir_evaluation_verdict(const mimir_evaluation *evaluation, size_t image);

/* The class that the model says of the image as it is; -1 where its scores mean none, or there is no such image. */
int32_t mimir_evaluation_clean_class(const mimir_evaluation *evaluation, size_t image);

/* The class that the model says of the perturbed image; -1 unless it is MIMIR_VERDICT_BROKEN. */
int32_t mimir_evaluation_perturbed_class(const mimir_evaluation *evaluation, size_t image);

/* How far the perturbed image is from the image, in the norm of the evaluation; NaN unless it is MIMIR_VERDICT_BROKEN. */
double mimir_evaluation_distance(const mimir_evaluation *evaluation, size_t image);

/* The name of the attack that broke the image, or found a point in the ball whose scores are not finite; NULL where none did. */
const char *mimir_evaluation_attack_name(const mimir_evaluation *evaluation, size_t image);

/* Values of a perturbed image, C * H * W; 0 where none are kept, and for NULL. */
size_t mimir_evaluation_perturbed_len(const mimir_evaluation *evaluation);

/* Writes the perturbed image of one that is MIMIR_VERDICT_BROKEN, to the last bit as the model was asked about it.
 * `pixels_len` is mimir_evaluation_perturbed_len.
 *
 * MIMIR_ERROR_INVALID_ARGUMENT: there is none, the length does not fit, or the evaluation is of mimir_certify, which keeps none:
 * with mimir_certify_options_set_report it writes them into a file. MIMIR_ERROR_IO: it cannot be read back. */
MIMIR_MUST_CHECK mimir_error *mimir_evaluation_perturbed(const mimir_evaluation *evaluation, size_t image, float *pixels,
                                                         size_t pixels_len);

void mimir_evaluation_delete(mimir_evaluation *evaluation);

#endif

#ifdef __cplusplus
}
#endif

#endif
