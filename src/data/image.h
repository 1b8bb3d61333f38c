// SPDX-License-Identifier: Apache-2.0
// Decoders of image files, one source file per format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mixgrad::data {

/// A decoded image in 8 bits, grey or RGB; the flags tell what the conversion changed.
struct Image {
  int64_t channels = 0, height = 0, width = 0;  // 1 or 3 channels
  std::vector<uint8_t> pixels;                  // [height, width, channels]
  bool transparent = false;                     // had an alpha channel or a transparent colour
  bool deep = false;                            // had 16 bits per channel
  bool cmyk = false;
};

/// `file` is only used in messages. Both throw bad_input with the decoder's reason if the image is corrupt, and before
/// allocating more memory than an image of so many bytes can need.
Image decode_jpeg(const std::string& file, std::string_view content);
Image decode_png(const std::string& file, std::string_view content);

}  // namespace mixgrad::data
