// SPDX-License-Identifier: Apache-2.0
// Values of every kind of PNG file are read as stored.
#include "files.h"

#include <mixgrad/data.h>

#include <array>
#include <vector>

#include <png.h>

using namespace mixgrad;
using namespace mixgrad::test;

namespace {

struct Png {
  uint32_t width, height;
  int depth, type;
  std::vector<uint8_t> rows;  // one byte per value, two for 16 bits
  double gamma = 0;           // in the gAMA chunk
  bool interlaced = false;
  std::vector<png_color> palette = {};
  std::vector<uint8_t> palette_alpha = {};
  int transparent = -1;      // the value in the tRNS chunk
  std::string profile = {};  // the iCCP chunk
};

constexpr std::array<png_byte, 5> iccp = {'i', 'C', 'C', 'P', 0};

std::string bytes_of(const Png& p) {
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  const auto append = [](png_structp to, png_bytep bytes, size_t n) {
    static_cast<std::string*>(png_get_io_ptr(to))->append(reinterpret_cast<const char*>(bytes), n);
  };
  png_set_write_fn(png, &out, append, nullptr);
  png_set_IHDR(png, info, p.width, p.height, p.depth, p.type, p.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (p.gamma > 0) png_set_gAMA(png, info, p.gamma);
  if (!p.palette.empty()) png_set_PLTE(png, info, p.palette.data(), static_cast<int>(p.palette.size()));
  const auto key = static_cast<png_uint_16>(p.transparent);
  png_color_16 colour{.index = 0, .red = key, .green = key, .blue = key, .gray = key};
  if (p.transparent >= 0) png_set_tRNS(png, info, nullptr, 0, &colour);
  if (!p.palette_alpha.empty())
    png_set_tRNS(png, info, p.palette_alpha.data(), static_cast<int>(p.palette_alpha.size()), nullptr);
  png_write_info_before_PLTE(png, info);
  if (!p.profile.empty())
    png_write_chunk(png, iccp.data(), reinterpret_cast<const png_byte*>(p.profile.data()), p.profile.size());
  png_write_info(png, info);
  png_set_packing(png);
  const size_t row = p.rows.size() / p.height;
  std::vector<png_bytep> rows;
  for (size_t y = 0; y < p.height; ++y) rows.push_back(const_cast<png_bytep>(&p.rows[y * row]));
  png_write_image(png, rows.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return out;
}

data::Splits read(const std::vector<std::string>& files) {
  const DataFolder folder;
  for (const char* part : {"train", "test"})
    for (size_t i = 0; i < files.size(); ++i) folder.write(fmt::format("{}/one/{}.png", part, i), files[i]);
  return data::load("images:" + folder.path.string(), 0, 0);
}

std::vector<uint8_t> pixels(const Png& p) { return read({bytes_of(p)}).train.pixels; }

using Bytes = std::vector<uint8_t>;

}  // namespace

TEST_CASE("png: values are read as stored, whatever the colour metadata") {
  const Bytes values = {40, 128, 200, 0, 255, 1};
  for (const double gamma : {0.0, 1.0, 0.45455}) {
    CHECK(pixels({2, 1, 8, PNG_COLOR_TYPE_RGB, values, gamma}) == values);
    CHECK(pixels({3, 2, 8, PNG_COLOR_TYPE_GRAY, values, gamma}) == values);
  }
  Png broken_profile{3, 2, 8, PNG_COLOR_TYPE_GRAY, values};
  broken_profile.profile = "not a profile";
  CHECK(pixels(broken_profile) == values);
}

TEST_CASE("png: every 16-bit value becomes the nearest 8-bit value, with a note") {
  Png p{256, 256, 16, PNG_COLOR_TYPE_GRAY, {}};
  Bytes nearest;
  for (int v = 0; v < 65536; ++v) {
    p.rows.insert(p.rows.end(), {static_cast<uint8_t>(v >> 8), static_cast<uint8_t>(v)});
    nearest.push_back(static_cast<uint8_t>((v + 128) / 257));
  }
  CHECK(pixels(p) == nearest);
  p.gamma = 1;
  p.interlaced = true;
  CHECK(pixels(p) == nearest);
  CHECK(read({bytes_of(p)}).notes ==
        std::vector<std::string>{"2 images have 16 bits per channel, which are rounded to 8"});
}

TEST_CASE("png: grey of 1, 2 and 4 bits is scaled to 0 to 255, and palettes give their colours") {
  for (const int depth : {1, 2, 4}) {
    const int most = (1 << depth) - 1;
    Png p{static_cast<uint32_t>(most) + 1, 1, depth, PNG_COLOR_TYPE_GRAY, {}};
    Bytes spread;
    for (int v = 0; v <= most; ++v) {
      p.rows.push_back(static_cast<uint8_t>(v));
      spread.push_back(static_cast<uint8_t>(v * 255 / most));
    }
    CHECK(pixels(p) == spread);
    p.transparent = most;
    CHECK(pixels(p) == spread);
    p.type = PNG_COLOR_TYPE_PALETTE;
    p.transparent = -1;
    p.palette = {{7, 40, 9}, {255, 128, 3}};
    p.rows.assign(p.width, 1);
    p.rows[0] = 0;
    Bytes colours = {7, 40, 9};
    for (int v = 1; v <= most; ++v) colours.insert(colours.end(), {255, 128, 3});
    CHECK(pixels(p) == colours);
    p.palette_alpha = {0, 100};
    CHECK(pixels(p) == colours);
  }
}

TEST_CASE("png: transparency is ignored, the colours behind it are kept, with a note") {
  const Bytes values = {40, 128, 200, 9, 8, 7};
  const std::vector<std::string> files = {
      bytes_of({2, 1, 8, PNG_COLOR_TYPE_RGB_ALPHA, {40, 128, 200, 0, 9, 8, 7, 100}}),
      bytes_of({2, 1, 8, PNG_COLOR_TYPE_GRAY_ALPHA, {40, 0, 9, 255}}),
      bytes_of({.width = 2, .height = 1, .depth = 8, .type = PNG_COLOR_TYPE_RGB, .rows = values, .transparent = 9}),
      bytes_of({2, 1, 8, PNG_COLOR_TYPE_RGB, values}),
  };
  const data::Splits s = read(files);
  CHECK(s.train.pixels ==
        Bytes{40, 128, 200, 9, 8, 7, 40, 40, 40, 9, 9, 9, 40, 128, 200, 9, 8, 7, 40, 128, 200, 9, 8, 7});
  CHECK(s.notes == std::vector<std::string>{"6 images have transparency, which is ignored"});
  CHECK(read({files[3]}).notes.empty());
}

TEST_CASE("png: every truncated or corrupted file is refused") {
  const Png p{.width = 3,
              .height = 2,
              .depth = 8,
              .type = PNG_COLOR_TYPE_GRAY,
              .rows = {1, 2, 3, 4, 5, 6},
              .gamma = 0.5,
              .interlaced = true,
              .transparent = 3};
  const std::string whole = bytes_of(p);
  const auto taken = [](const std::string& file) { return refusal([&] { read({file}); }); };
  REQUIRE(taken(whole) == "accepted");
  constexpr size_t magic = 4;  // bytes that tell the format
  for (size_t length = 0; length < whole.size(); ++length)
    CHECK(says(taken(whole.substr(0, length)), length < magic ? "neither a JPEG nor a PNG" : "corrupt PNG image"));
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x11);
    CAPTURE(at);
    CHECK(says(taken(changed), at < magic ? "neither a JPEG nor a PNG" : "0.png: corrupt PNG image"));
  }
}
