/* Says what a model sees in a picture, if the model meets a policy:
 *
 *     classify policy.toml model.mimir cat.png
 */
#include <mimir.h>

#include "picture.h"

/* Prints why a call failed, deletes the error, and says whether there was one. */
static bool failed(mimir_error *error) {
    if (error == NULL) return false;
    fprintf(stderr, "error: %s\n", mimir_error_message(error));
    for (size_t i = 0; i < mimir_error_requirement_count(error); i++)
        fprintf(stderr, "  not met: %s\n", mimir_error_requirement(error, i));
    mimir_error_delete(error);
    return true;
}

static bool classify(const mimir_model *model, const mimir_session *session, const char *path) {
    picture seen = picture_read(path);
    if (seen.bytes == NULL) return false;
    size_t length = mimir_model_input_len(model);
    float *pixels = malloc(length * sizeof *pixels);
    mimir_prediction prediction;
    bool ok = pixels != NULL
        && !failed(mimir_model_prepare(model, seen.bytes, seen.width * seen.height * 3, seen.width, seen.height, 3,
                                       seen.width * 3, pixels, length))
        && !failed(mimir_session_classify(session, pixels, length, 1, NULL, 0.0f, &prediction, 1));
    if (ok && prediction.class_index < 0) {
        printf("%s: no class, the scores are not numbers\n", path);
    } else if (ok) {
        const char *name = mimir_model_class_name(model, (size_t)prediction.class_index);
        printf("%s: %s (class %d), probability %.4f, margin %.4f\n", path, name != NULL ? name : "unnamed",
               (int)prediction.class_index, prediction.probability, prediction.margin);
    }
    free(pixels);
    free(seen.bytes);
    return ok;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s POLICY.toml BUNDLE PICTURE.png\n", argv[0]);
        return 2;
    }
    mimir_policy *policy = NULL;
    mimir_model *model = NULL;
    mimir_session *session = NULL;
    bool ok = !failed(mimir_policy_from_file(argv[1], &policy)) && !failed(mimir_model_load(argv[2], policy, &model))
        && !failed(mimir_session_new(model, NULL, &session)) && classify(model, session, argv[3]);
    mimir_session_delete(session);
    mimir_model_delete(model);
    mimir_policy_delete(policy);
    return ok ? 0 : 1;
}
