/* A file whose searched graphs would be another function is not attacked. same_function MODEL IMAGES_URI LENGTH */
#include "check.h"

static void refused(mimir_error *error) {
    CHECK(mimir_error_code(error) == MIMIR_ERROR_UNSUPPORTED);
    CHECK(strstr(mimir_error_message(error), "are not the function of the file") != NULL);
    mimir_error_delete(error);
}

int main(int argc, char **argv) {
    CHECK(argc == 4);
    mimir_certify_options *options = NULL;
    OK(mimir_certify_options_new(MIMIR_NORM_LINF, 0.1, &options));
    OK(mimir_certify_options_set_attacks(options, "apgd-ce"));
    mimir_evaluation *evaluation = NULL;
    refused(mimir_certify(argv[1], argv[2], options, NULL, NULL, &evaluation));

    const size_t length = strtoul(argv[3], NULL, 10);
    float *pixels = some_pixels(2 * length);
    const uint32_t labels[] = {0, 1};
    refused(mimir_attack(argv[1], pixels, 2 * length, labels, 2, options, NULL, NULL, &evaluation));
    CHECK(evaluation == NULL);
    free(pixels);
    mimir_certify_options_delete(options);
    return 0;
}
