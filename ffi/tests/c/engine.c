/* Which ONNX Runtime is taken. engine BUNDLE absent|rten|PATH */
#include <time.h>

#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc == 3);
    mimir_model *model = load_anything(argv[1]);
    mimir_session *session = NULL;
    if (strcmp(argv[2], "absent") == 0) {
        mimir_error *error = mimir_session_new(model, NULL, &session);
        const char *ways[] = {"beside libmimir_runtime.so", "MIMIR_ORT_DYLIB", "mimir_session_options_set_onnxruntime",
                              "system's loader", "MIMIR_ENGINE_ANY"};
        for (size_t index = 0; index < sizeof ways / sizeof *ways; index++)
            CHECK(strstr(mimir_error_message(error), ways[index]) != NULL);
        FAILS(error, MIMIR_ERROR_ENGINE);
        FAILS(mimir_onnxruntime_load(NULL), MIMIR_ERROR_ENGINE);
        CHECK(session == NULL);
    } else if (strcmp(argv[2], "rten") == 0) {
        mimir_session_options *options = mimir_session_options_new();
        OK(mimir_session_options_set_engine(options, MIMIR_ENGINE_ANY));
        OK(mimir_session_new(model, options, &session));
        CHECK(strcmp(mimir_session_engine(session), "rten") == 0);
        mimir_session_options_delete(options);
    } else {
        OK(mimir_session_new(model, NULL, &session));
        size_t needed;
        char text[4096];
        OK(mimir_build_info(text, sizeof text, &needed));
        CHECK(needed <= sizeof text && strstr(text, argv[2]) != NULL);
    }
    mimir_session_delete(session);
    mimir_model_delete(model);
    return 0;
}
