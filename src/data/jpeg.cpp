// SPDX-License-Identifier: Apache-2.0
// JPEG decoding with libjpeg-turbo.
#include "image.h"

#include <mixgrad/error.h>

#include <memory>

#include <turbojpeg.h>

namespace mixgrad::data {
namespace {

/// One channel of a CMYK pixel as light. Files store inverted ink (255: none), and `k` darkens what the other inks let
/// through. Like other readers, this ignores colour profiles.
uint8_t light(uint8_t ink, uint8_t k) { return static_cast<uint8_t>((ink * k + 127) / 255); }

/// [pixels, 4] to [pixels, 3], in place.
void cmyk_to_rgb(std::vector<uint8_t>& pixels) {
  size_t to = 0;
  for (size_t from = 0; from < pixels.size(); from += 4) {
    const uint8_t k = pixels[from + 3];
    for (size_t c = 0; c < 3; ++c) pixels[to++] = light(pixels[from + c], k);
  }
  pixels.resize(to);
}

}  // namespace

Image decode_jpeg(const std::string& file, std::string_view content) {
  const std::unique_ptr<void, decltype(&tjDestroy)> decoder(tjInitDecompress(), &tjDestroy);
  const auto* bytes = reinterpret_cast<const unsigned char*>(content.data());
  int width = 0, height = 0, subsampling = 0, colours = 0;
  const auto check = [&](int result) {
    if (result != 0)
      bad_input("{}: corrupt or unsupported JPEG image (8 bits per channel expected): {}", file,
                tjGetErrorStr2(decoder.get()));
  };
  check(tjDecompressHeader3(decoder.get(), bytes, content.size(), &width, &height, &subsampling, &colours));
  constexpr int64_t most_per_byte = 64 * 8;  // a block of 8×8 pixels takes at least one bit
  if (int64_t{width} * height > static_cast<int64_t>(content.size()) * most_per_byte)
    bad_input("{}: corrupt JPEG image: {}×{} pixels in {} bytes", file, width, height, content.size());
  const bool grey = colours == TJCS_GRAY, cmyk = colours == TJCS_CMYK || colours == TJCS_YCCK;
  const TJPF format = grey ? TJPF_GRAY : cmyk ? TJPF_CMYK : TJPF_RGB;
  Image image{.channels = grey ? 1 : 3, .height = height, .width = width, .pixels = {}, .cmyk = cmyk};
  image.pixels.resize(static_cast<size_t>(int64_t{tjPixelSize[format]} * width * height));
  check(tjDecompress2(decoder.get(), bytes, content.size(), image.pixels.data(), width, 0, height, format,
                      TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS));
  if (cmyk) cmyk_to_rgb(image.pixels);
  return image;
}

}  // namespace mixgrad::data
