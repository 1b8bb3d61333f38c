// SPDX-License-Identifier: Apache-2.0
#include "photos.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <png.h>

namespace mixgrad::test {

std::string png(const std::vector<uint8_t>& pixels, unsigned width, unsigned height, unsigned format) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = format;
  png_alloc_size_t size = 0;
  REQUIRE(png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr) != 0);
  std::string out(size, '\0');
  REQUIRE(png_image_write_to_memory(&image, out.data(), &size, 0, pixels.data(), 0, nullptr) != 0);
  return out;
}

void write_photos(const std::filesystem::path& folder, const std::vector<std::string>& classes) {
  for (const std::string part : {"train", "test"}) {
    for (size_t c = 0; c < classes.size(); ++c) {
      const std::filesystem::path of_class = folder / part / classes[c];
      std::filesystem::create_directories(of_class);
      for (unsigned i = 0; i < 10; ++i) {
        const unsigned width = 20 + i, height = 16 + i / 2;
        const auto value = static_cast<uint8_t>(20 + 160 * c / (classes.size() - 1) + i);
        io::write_file(of_class / fmt::format("{}.jpg", i),
                       png(std::vector(size_t{3} * width * height, value), width, height, PNG_FORMAT_RGB));
      }
    }
  }
}

}  // namespace mixgrad::test
