// SPDX-License-Identifier: Apache-2.0
// Chooses an image's decoder, and fits images into another size.
#include "image.h"
#include "resize.h"

#include <mixgrad/error.h>

#include <algorithm>
#include <cmath>

namespace mixgrad::data {
namespace {

bool is_jpeg(std::string_view content) { return content.starts_with("\xff\xd8"); }
bool is_png(std::string_view content) { return content.starts_with("\x89PNG"); }

[[noreturn]] void refuse(const std::string& file) { bad_input("{}: neither a JPEG nor a PNG image", file); }

}  // namespace

Size decode_size(const std::string& file, std::string_view content) {
  if (is_jpeg(content)) return jpeg_size(file, content);
  if (is_png(content)) return png_size(file, content);
  refuse(file);
}

Image decode_image(const std::string& file, std::string_view content, Size enough) {
  if (is_jpeg(content)) return decode_jpeg(file, content, enough);
  if (is_png(content)) return decode_png(file, content);
  refuse(file);
}

Image fitted(const Image& image, Size size) {
  if (image.size == size) return image;
  const auto from_h = static_cast<double>(image.size.height), from_w = static_cast<double>(image.size.width);
  const double proportion = static_cast<double>(size.width) / static_cast<double>(size.height);
  const double h = std::min(from_h, from_w / proportion), w = std::min(from_w, from_h * proportion);
  const std::vector<Taps> ys = taps(image.size.height, (from_h - h) / 2, h, size.height),
                          xs = taps(image.size.width, (from_w - w) / 2, w, size.width);
  Image out = image;
  out.size = size;
  out.pixels.clear();
  out.pixels.reserve(static_cast<size_t>(size.height * size.width * image.channels));
  for (const Taps& y : ys) {
    for (const Taps& x : xs) {
      for (int64_t c = 0; c < image.channels; ++c) {
        const uint8_t* channel = image.pixels.data() + c;
        out.pixels.push_back(to_byte(weighted(y, x, [&](int64_t row, int64_t column) {
          return static_cast<float>(channel[(row * image.size.width + column) * image.channels]);
        })));
      }
    }
  }
  return out;
}

}  // namespace mixgrad::data
