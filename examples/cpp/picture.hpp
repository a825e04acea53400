// Reads a PNG into 8-bit RGB, with libpng. The library takes pictures as they are in memory and decodes no files.
#ifndef PICTURE_HPP
#define PICTURE_HPP

#include <png.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

struct Rgb {
    std::size_t width;
    std::size_t height;
    std::vector<std::uint8_t> bytes;  // height x width x 3
};

inline Rgb read_png(const std::string &path) {
    png_image image;
    std::memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_file(&image, path.c_str()) == 0) throw std::runtime_error(path + ": " + image.message);
    image.format = PNG_FORMAT_RGB;
    Rgb picture{image.width, image.height, std::vector<std::uint8_t>(PNG_IMAGE_SIZE(image))};
    if (png_image_finish_read(&image, nullptr, picture.bytes.data(), 0, nullptr) == 0)
        throw std::runtime_error(path + ": " + image.message);
    return picture;
}

#endif
