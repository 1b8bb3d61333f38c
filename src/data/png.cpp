// SPDX-License-Identifier: Apache-2.0
// PNG decoding with libpng's full API: the simplified one converts 16-bit values and values with a gAMA chunk to sRGB.
#include "deflate.h"
#include "image.h"

#include <mixgrad/error.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <new>

#include <png.h>

namespace mixgrad::data {
namespace {

class PngDecoder {
 public:
  PngDecoder(const std::string& file, std::string_view content) : file_(file), size_(content.size()), left_(content) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
    png_set_read_fn(png_, this, on_read);
    // Skip all chunks but IHDR, PLTE, tRNS, IDAT and IEND: colour metadata are ignored.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  }
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;

  Size size() {
    run([this] { png_read_info(png_, info_); });
    const Size size = {png_get_image_height(png_, info_), png_get_image_width(png_, info_)};
    check(size);
    return size;
  }

  Image decode() {
    const Size size = this->size();
    Image image{.channels = (png_get_color_type(png_, info_) & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1,
                .size = size,
                .pixels = {},
                .transparent = (png_get_color_type(png_, info_) & PNG_COLOR_MASK_ALPHA) != 0 ||
                               png_get_valid(png_, info_, PNG_INFO_tRNS) != 0,
                .deep = png_get_bit_depth(png_, info_) == 16};
    run([this] { ask_for_bytes(); });
    const auto row_bytes = static_cast<size_t>(size.width * image.channels);
    if (png_get_rowbytes(png_, info_) != row_bytes) bad_input("{}: unsupported kind of PNG image", file_);
    image.pixels.resize(static_cast<size_t>(size.height) * row_bytes);
    std::vector<png_bytep> rows;
    for (size_t at = 0; at < image.pixels.size(); at += row_bytes) rows.push_back(&image.pixels[at]);
    run([this, &rows] {
      png_read_image(png_, rows.data());
      png_read_end(png_, nullptr);
    });
    image.stray = static_cast<int64_t>(left_.size());
    return image;
  }

 private:
  /// A failing libpng call exits by longjmp, which skips destructors, so `calls` must own nothing. With metadata
  /// skipped, warnings indicate corruption too.
  template <typename Calls>
  void run(const Calls& calls) {
    if (setjmp(png_jmpbuf(png_)) != 0) refuse();
    calls();
    if (message_[0] != '\0') refuse();
  }
  [[noreturn]] void refuse() const { bad_input("{}: corrupt PNG image: {}", file_, message_); }

  /// Requests 8-bit values without alpha. Other depths are scaled; values are not changed otherwise.
  void ask_for_bytes() {
    const png_byte type = png_get_color_type(png_, info_);
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
    if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png_);
    png_set_scale_16(png_);
    png_set_strip_alpha(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
  }

  /// Checks that the size claimed by the file is possible before memory is allocated.
  void check(Size size) const {
    const auto bits = uint64_t{png_get_bit_depth(png_, info_)} * png_get_channels(png_, info_);
    const uint64_t bytes = static_cast<uint64_t>(size.height) * static_cast<uint64_t>(size.width) * bits / 8;
    if (bytes / highest_deflate_ratio > size_)
      bad_input("{}: corrupt PNG image: {}×{} pixels in {} bytes", file_, size.width, size.height, size_);
  }

  static PngDecoder& self(png_voidp pointer) { return *static_cast<PngDecoder*>(pointer); }

  static void on_warning(png_structp png, png_const_charp message) {
    char* kept = self(png_get_error_ptr(png)).message_;
    if (kept[0] == '\0') std::snprintf(kept, sizeof message_, "%s", message);
  }
  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    on_warning(png, message);
    png_longjmp(png, 1);
  }
  static void on_read(png_structp png, png_bytep out, size_t size) {
    std::string_view& left = self(png_get_io_ptr(png)).left_;
    if (left.size() < size) png_error(png, "it ends too early");
    std::memcpy(out, left.data(), size);
    left.remove_prefix(size);
  }

  const std::string& file_;
  const size_t size_;
  std::string_view left_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  char message_[128] = {};
};

}  // namespace

Size png_size(const std::string& file, std::string_view content) { return PngDecoder(file, content).size(); }

Image decode_png(const std::string& file, std::string_view content) { return PngDecoder(file, content).decode(); }

}  // namespace mixgrad::data
