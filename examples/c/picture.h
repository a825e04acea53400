/* Reads a PNG into 8-bit RGB, with libpng. The library takes pictures as they are in memory and decodes no files. */
#ifndef PICTURE_H
#define PICTURE_H

#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct picture {
    size_t width;
    size_t height;
    uint8_t *bytes; /* height x width x 3; to be freed. NULL: it could not be read. */
} picture;

static picture picture_read(const char *path) {
    picture result = {0, 0, NULL};
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_file(&image, path)) {
        image.format = PNG_FORMAT_RGB;
        result.bytes = malloc(PNG_IMAGE_SIZE(image));
        if (result.bytes != NULL && png_image_finish_read(&image, NULL, result.bytes, 0, NULL)) {
            result.width = image.width;
            result.height = image.height;
            return result;
        }
    }
    fprintf(stderr, "%s: %s\n", path, image.message[0] != 0 ? image.message : "no memory");
    png_image_free(&image);
    free(result.bytes);
    result.bytes = NULL;
    return result;
}

#endif
