/* Attacks on images in memory: every perturbed image is inside the ball, by the arithmetic of this file, and misclassified by a
 * session; the same seed gives the same bits. attack BUNDLE IMAGES.npz, where the bundle is of 24 x 24 images in 6 classes. */
#include <stdatomic.h>

#include "check.h"

#define REFUSED(call) FAILS(call, MIMIR_ERROR_INVALID_ARGUMENT)

enum { IMAGES = 24, CLASSES = 6 };

/* What the model says of images: as labels, with every fourth one wrong. */
static uint32_t *some_labels(const mimir_session *session, const float *pixels, size_t length) {
    uint32_t *labels = malloc(IMAGES * sizeof *labels);
    mimir_prediction predictions[IMAGES];
    CHECK(labels != NULL);
    OK(mimir_session_classify(session, pixels, IMAGES * length, IMAGES, NULL, 0.0f, predictions, IMAGES));
    for (size_t image = 0; image < IMAGES; image++)
        labels[image] = (uint32_t)(predictions[image].class_index + (image % 4 == 3)) % CLASSES;
    return labels;
}

static mimir_certify_options *options_of(int32_t norm, double epsilon, const char *attacks, uint64_t seed) {
    mimir_certify_options *options = NULL;
    OK(mimir_certify_options_new(norm, epsilon, &options));
    OK(mimir_certify_options_set_attacks(options, attacks));
    OK(mimir_certify_options_set_seed(options, seed));
    return options;
}

static double distance_of(int32_t norm, const float *first, const float *second, size_t length) {
    double distance = 0;
    for (size_t index = 0; index < length; index++) {
        double change = fabs((double)first[index] - (double)second[index]);
        if (norm == MIMIR_NORM_LINF) distance = fmax(distance, change);
        if (norm == MIMIR_NORM_L2) distance += change * change;
        if (norm == MIMIR_NORM_L1) distance += change;
    }
    return norm == MIMIR_NORM_L2 ? sqrt(distance) : distance;
}

/* Each image of an evaluation is what its verdict says. How many are broken. */
static size_t checked(const mimir_evaluation *evaluation, const mimir_session *session, int32_t norm, double epsilon,
                      const float *pixels, const uint32_t *labels, size_t length) {
    size_t broken = 0;
    float *perturbed = malloc(length * sizeof *perturbed);
    CHECK(perturbed != NULL);
    CHECK(mimir_evaluation_image_count(evaluation) == IMAGES && mimir_evaluation_perturbed_len(evaluation) == length);
    for (size_t image = 0; image < IMAGES; image++) {
        int32_t verdict = mimir_evaluation_verdict(evaluation, image);
        int32_t label = (int32_t)labels[image];
        CHECK((mimir_evaluation_clean_class(evaluation, image) != label) == (verdict == MIMIR_VERDICT_MISCLASSIFIED));
        CHECK((verdict == MIMIR_VERDICT_MISCLASSIFIED) == (image % 4 == 3));
        if (verdict != MIMIR_VERDICT_BROKEN) {
            CHECK(verdict == MIMIR_VERDICT_MISCLASSIFIED || verdict == MIMIR_VERDICT_STILL_ROBUST);
            CHECK(mimir_evaluation_perturbed_class(evaluation, image) == -1);
            CHECK(isnan(mimir_evaluation_distance(evaluation, image)));
            CHECK(mimir_evaluation_attack_name(evaluation, image) == NULL);
            REFUSED(mimir_evaluation_perturbed(evaluation, image, perturbed, length));
            continue;
        }
        broken++;
        mimir_prediction prediction;
        OK(mimir_evaluation_perturbed(evaluation, image, perturbed, length));
        OK(mimir_session_classify(session, perturbed, length, 1, NULL, 0.0f, &prediction, 1));
        CHECK(prediction.class_index == mimir_evaluation_perturbed_class(evaluation, image));
        CHECK(prediction.class_index != label);
        double distance = distance_of(norm, pixels + image * length, perturbed, length);
        /* The ball's own arithmetic is in double too; sums may be taken in another order. */
        CHECK(distance > 0 && distance <= epsilon * (1 + 1e-9));
        CHECK(fabs(distance - mimir_evaluation_distance(evaluation, image)) <= 1e-9 * epsilon);
        CHECK(strlen(mimir_evaluation_attack_name(evaluation, image)) > 0);
        for (size_t index = 0; index < length; index++) CHECK(perturbed[index] >= 0.0f && perturbed[index] <= 1.0f);
    }
    REFUSED(mimir_evaluation_perturbed(evaluation, IMAGES, perturbed, length));
    REFUSED(mimir_evaluation_perturbed(evaluation, 0, perturbed, length - 1));
    CHECK(mimir_evaluation_verdict(evaluation, IMAGES) == 0 && mimir_evaluation_clean_class(evaluation, SIZE_MAX) == -1);
    free(perturbed);
    return broken;
}

static int same(const mimir_evaluation *first, const mimir_evaluation *second, size_t length) {
    float *one = malloc(2 * length * sizeof *one), *two = one + length;
    int equal = 1;
    CHECK(one != NULL);
    for (size_t image = 0; image < IMAGES; image++) {
        int32_t verdict = mimir_evaluation_verdict(first, image);
        equal &= verdict == mimir_evaluation_verdict(second, image);
        if (!equal || verdict != MIMIR_VERDICT_BROKEN) continue;
        OK(mimir_evaluation_perturbed(first, image, one, length));
        OK(mimir_evaluation_perturbed(second, image, two, length));
        equal &= memcmp(one, two, length * sizeof *one) == 0;
    }
    free(one);
    return equal;
}

static void balls(const char *bundle, const mimir_session *session, const float *pixels, const uint32_t *labels,
                  size_t length) {
    const struct {
        int32_t norm;
        double epsilon;
        const char *attacks;
    } cases[] = {{MIMIR_NORM_LINF, 8.0 / 255, "fgsm,apgd-ce"}, {MIMIR_NORM_L2, 1.0, "apgd-ce"}, {MIMIR_NORM_L1, 12.0, "apgd-ce"}};
    for (size_t index = 0; index < sizeof cases / sizeof *cases; index++) {
        const int32_t norm = cases[index].norm;
        const double epsilon = cases[index].epsilon;
        mimir_evaluation *found[3] = {NULL, NULL, NULL};
        for (uint64_t round = 0; round < 3; round++) {
            mimir_certify_options *options = options_of(norm, epsilon, cases[index].attacks, round / 2);
            OK(mimir_attack(bundle, pixels, IMAGES * length, labels, IMAGES, options, NULL, NULL, &found[round]));
            mimir_certify_options_delete(options);
        }
        CHECK(checked(found[0], session, norm, epsilon, pixels, labels, length) > 0);
        CHECK(same(found[0], found[1], length));
        CHECK(!same(found[0], found[2], length));
        const mimir_certificate *certificate = mimir_evaluation_certificate(found[0]);
        CHECK(mimir_certificate_sample_count(certificate) == IMAGES && mimir_certificate_norm(certificate) == norm);
        char *report;
        TEXT(report, mimir_evaluation_report_json, found[0]);
        CHECK(strstr(report, "\"memory\"") != NULL);
        free(report);
        for (int round = 0; round < 3; round++) mimir_evaluation_delete(found[round]);
    }
}

static void lengths(const char *bundle, float *pixels, uint32_t *labels, size_t length) {
    mimir_certify_options *options = options_of(MIMIR_NORM_LINF, 8.0 / 255, "fgsm", 0);
    mimir_evaluation *out = NULL;
    REFUSED(mimir_attack(bundle, pixels, 0, labels, 0, options, NULL, NULL, &out));
    REFUSED(mimir_attack(bundle, pixels, 2 * length, labels, 0, options, NULL, NULL, &out));
    REFUSED(mimir_attack(bundle, pixels, 2 * length, labels, 1, options, NULL, NULL, &out));
    REFUSED(mimir_attack(bundle, pixels, 2 * length - 1, labels, 2, options, NULL, NULL, &out));
    REFUSED(mimir_attack(bundle, pixels, SIZE_MAX, labels, 2, options, NULL, NULL, &out));
    REFUSED(mimir_attack(bundle, pixels, 2 * length, labels, SIZE_MAX, options, NULL, NULL, &out));
    REFUSED(mimir_attack(bundle, (const float *)((const char *)pixels + 1), length, labels, 1, options, NULL, NULL, &out));
    REFUSED(mimir_attack(bundle, pixels, length, (const uint32_t *)((const char *)labels + 1), 1, options, NULL, NULL, &out));
    FAILS(mimir_attack("/nonexistent", pixels, length, labels, 1, options, NULL, NULL, &out), MIMIR_ERROR_UNSUPPORTED);
    const float wrong[] = {NAN, INFINITY, -0.001f, 1.001f}, known = pixels[length + 2];
    for (size_t index = 0; index < sizeof wrong / sizeof *wrong; index++) {
        pixels[length + 2] = wrong[index];
        mimir_error *error = mimir_attack(bundle, pixels, 2 * length, labels, 2, options, NULL, NULL, &out);
        CHECK(strstr(mimir_error_message(error), "value 2 of image 1") != NULL);
        REFUSED(error);
    }
    pixels[length + 2] = known;
    const uint32_t right = labels[0];
    const uint32_t none[] = {CLASSES, UINT32_MAX};
    for (size_t index = 0; index < sizeof none / sizeof *none; index++) {
        labels[0] = none[index];
        REFUSED(mimir_attack(bundle, pixels, length, labels, 1, options, NULL, NULL, &out));
    }
    labels[0] = right;
    /* More than there are. */
    OK(mimir_certify_options_set_first(options, 3));
    REFUSED(mimir_attack(bundle, pixels, 2 * length, labels, 2, options, NULL, NULL, &out));
    CHECK(out == NULL);
    OK(mimir_attack(bundle, pixels, 4 * length, labels, 4, options, NULL, NULL, &out));
    CHECK(mimir_evaluation_image_count(out) == 3);
    mimir_evaluation_delete(out);
    mimir_certify_options_delete(options);
}

/* Calls come from threads of the library, one at a time. */
struct progress {
    _Atomic size_t calls;
    const char *stop_in;
};

static int32_t ends_in(const char *stage, size_t finished, size_t images, size_t still_robust, void *payload) {
    struct progress *progress = payload;
    progress->calls++;
    CHECK(finished <= images && still_robust <= IMAGES);
    return strcmp(stage, progress->stop_in) == 0;
}

static void cancelled(const char *bundle, const float *pixels, const uint32_t *labels, size_t length) {
    mimir_certify_options *options = options_of(MIMIR_NORM_LINF, 8.0 / 255, "fgsm,square", 0);
    mimir_evaluation *out = NULL;
    struct progress progress = {0, "clean"};
    FAILS(mimir_attack(bundle, pixels, IMAGES * length, labels, IMAGES, options, ends_in, &progress, &out),
          MIMIR_ERROR_CANCELLED);
    CHECK(out == NULL && progress.calls > 0);
    /* What was found until then stays, and the rest says that it is unfinished. */
    progress.stop_in = "square";
    OK(mimir_attack(bundle, pixels, IMAGES * length, labels, IMAGES, options, ends_in, &progress, &out));
    CHECK(mimir_evaluation_certificate(out) == NULL && mimir_evaluation_image_count(out) == IMAGES);
    size_t broken = 0, unfinished = 0;
    float *perturbed = malloc(length * sizeof *perturbed);
    for (size_t image = 0; image < IMAGES; image++) {
        unfinished += mimir_evaluation_verdict(out, image) == MIMIR_VERDICT_UNFINISHED;
        if (mimir_evaluation_verdict(out, image) != MIMIR_VERDICT_BROKEN) continue;
        OK(mimir_evaluation_perturbed(out, image, perturbed, length));
        broken++;
    }
    CHECK(broken > 0 && unfinished > 0);
    free(perturbed);
    mimir_evaluation_delete(out);
    mimir_certify_options_delete(options);
}

/* An evaluation of a file says what became of each image, and how to get the perturbed ones. */
static void of_a_file(const char *bundle, const char *images, size_t length) {
    mimir_certify_options *options = options_of(MIMIR_NORM_LINF, 8.0 / 255, "fgsm", 0);
    OK(mimir_certify_options_set_first(options, 8));
    char source[4096];
    snprintf(source, sizeof source, "npz:%s", images);
    mimir_evaluation *out = NULL;
    OK(mimir_certify(bundle, source, options, NULL, NULL, &out));
    CHECK(mimir_evaluation_image_count(out) == 8 && mimir_evaluation_perturbed_len(out) == 0);
    size_t broken = 0;
    for (size_t image = 0; image < 8; image++) {
        if (mimir_evaluation_verdict(out, image) != MIMIR_VERDICT_BROKEN) continue;
        CHECK(mimir_evaluation_perturbed_class(out, image) >= 0 && mimir_evaluation_distance(out, image) > 0);
        CHECK(strcmp(mimir_evaluation_attack_name(out, image), "fgsm") == 0);
        broken++;
    }
    CHECK(broken > 0);
    float *perturbed = malloc(length * sizeof *perturbed);
    mimir_error *error = mimir_evaluation_perturbed(out, 0, perturbed, length);
    CHECK(strstr(mimir_error_message(error), "mimir_attack") != NULL);
    REFUSED(error);
    free(perturbed);
    mimir_evaluation_delete(out);
    mimir_certify_options_delete(options);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    mimir_model *model = load_anything(argv[1]);
    mimir_session *session = NULL;
    OK(mimir_session_new(model, NULL, &session));
    const size_t length = mimir_model_input_len(model);
    CHECK(mimir_model_class_count(model) == CLASSES);
    float *pixels = some_pixels(IMAGES * length);
    uint32_t *labels = some_labels(session, pixels, length);
    balls(argv[1], session, pixels, labels, length);
    lengths(argv[1], pixels, labels, length);
    cancelled(argv[1], pixels, labels, length);
    of_a_file(argv[1], argv[2], length);
    free(pixels);
    free(labels);
    mimir_session_delete(session);
    mimir_model_delete(model);
    return 0;
}
