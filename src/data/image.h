// SPDX-License-Identifier: Apache-2.0
// Decoders of image files, one source file per format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mixgrad::data {

/// Of an image, in pixels.
struct Size {
  int64_t height = 0, width = 0;
  bool operator==(const Size&) const = default;
};

/// A decoded image in 8 bits, grey or RGB; the flags tell what the conversion changed.
struct Image {
  int64_t channels = 0;  // 1 or 3
  Size size;
  std::vector<uint8_t> pixels;  // [height, width, channels]
  bool transparent = false;     // had an alpha channel or a transparent colour
  bool deep = false;            // had 16 bits per channel
  bool cmyk = false;
  int64_t stray = 0;  // bytes between its parts or after its end, which were ignored
};

/// Decode a file's content; the format is that of its first bytes. `file` is only used in messages. Throw bad_input
/// with the decoder's reason if the image is corrupt, and before allocating more memory than an image of so many bytes
/// can need.
Size decode_size(const std::string& file, std::string_view content);
/// The result may be smaller than the file's image, by a half, a quarter or an eighth, but not than `enough`; {}: full
/// size.
Image decode_image(const std::string& file, std::string_view content, Size enough = {});

Size jpeg_size(const std::string& file, std::string_view content);
Size png_size(const std::string& file, std::string_view content);
Image decode_jpeg(const std::string& file, std::string_view content, Size enough);
Image decode_png(const std::string& file, std::string_view content);

/// The largest part in the middle with the proportions of `size`, resized to it: enlarging interpolates, shrinking
/// averages.
Image fitted(const Image& image, Size size);

}  // namespace mixgrad::data
