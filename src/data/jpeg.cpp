// SPDX-License-Identifier: Apache-2.0
// JPEG decoding with libjpeg's interface, which tells warnings apart and how many bytes were left over.
#include "image.h"

#include <mixgrad/error.h>

#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>

#include <jerror.h>

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

class JpegDecoder {
 public:
  JpegDecoder(const std::string& file, std::string_view content) : file_(file), content_(content) {
    info_.err = jpeg_std_error(&errors_.manager);
    errors_.manager.error_exit = on_error;
    errors_.manager.emit_message = on_message;
    limit_.progress_monitor = limit_scans;
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  Size size() {
    run([this] {
      jpeg_create_decompress(&info_);
      info_.progress = &limit_;
      jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(content_.data()), content_.size());
      jpeg_read_header(&info_, TRUE);
    });
    const Size size = {int64_t{info_.image_height}, int64_t{info_.image_width}};
    constexpr int64_t most_per_byte = 64 * 8;  // a block of 8×8 pixels takes at least one bit
    if (size.width * size.height > static_cast<int64_t>(content_.size()) * most_per_byte)
      bad_input("{}: corrupt JPEG image: {}×{} pixels in {} bytes", file_, size.width, size.height, content_.size());
    return size;
  }

  Image decode(Size enough) {
    const Size size = this->size();
    const bool grey = info_.jpeg_color_space == JCS_GRAYSCALE;
    const bool cmyk = info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK;
    info_.out_color_space = grey ? JCS_GRAYSCALE : cmyk ? JCS_CMYK : JCS_RGB;
    info_.scale_num = 1;
    info_.scale_denom = divisor(size, enough);
    run([this] { jpeg_start_decompress(&info_); });
    Image image{.channels = grey ? 1 : 3,
                .size = {int64_t{info_.output_height}, int64_t{info_.output_width}},
                .pixels = {},
                .cmyk = cmyk};
    const auto row = static_cast<size_t>(info_.output_width) * static_cast<size_t>(info_.output_components);
    image.pixels.resize(row * info_.output_height);
    run([this, &image, row] {
      while (info_.output_scanline < info_.output_height) {
        JSAMPROW to = &image.pixels[info_.output_scanline * row];
        jpeg_read_scanlines(&info_, &to, 1);
      }
      jpeg_finish_decompress(&info_);
    });
    image.stray = errors_.stray + static_cast<int64_t>(info_.src->bytes_in_buffer);
    if (cmyk) cmyk_to_rgb(image.pixels);
    return image;
  }

 private:
  struct Errors {
    jpeg_error_mgr manager = {};  // first: libjpeg passes its address
    std::jmp_buf jump;
    char message[JMSG_LENGTH_MAX] = {};
    int64_t stray = 0;
  };

  /// A failing libjpeg call exits by longjmp, which skips destructors, so `calls` must own nothing.
  template <typename Calls>
  void run(const Calls& calls) {
    if (setjmp(errors_.jump) != 0)
      bad_input("{}: corrupt or unsupported JPEG image (8 bits per channel expected): {}", file_, errors_.message);
    calls();
  }

  /// By how much the image can shrink, by omitting high frequencies while decoding, with twice `enough` left.
  static unsigned divisor(Size size, Size enough) {
    if (enough == Size{}) return 1;
    unsigned by = 8;
    while (by > 1 && (size.height < 2 * by * enough.height || size.width < 2 * by * enough.width)) by /= 2;
    return by;
  }

  static Errors& errors_of(j_common_ptr info) { return *reinterpret_cast<Errors*>(info->err); }

  [[noreturn]] static void on_error(j_common_ptr info) {
    Errors& errors = errors_of(info);
    errors.manager.format_message(info, errors.message);
    std::longjmp(errors.jump, 1);
  }
  /// Bytes before a marker are counted; any other warning means that the image is damaged.
  static void on_message(j_common_ptr info, int level) {
    if (level >= 0) return;
    Errors& errors = errors_of(info);
    if (errors.manager.msg_code != JWRN_EXTRANEOUS_DATA) on_error(info);
    errors.stray += errors.manager.msg_parm.i[0];
  }
  /// A small file can hold many scans of a large image, each as slow as the first.
  static void limit_scans(j_common_ptr info) {
    constexpr int most = 500;
    if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= most) return;
    Errors& errors = errors_of(info);
    std::snprintf(errors.message, sizeof errors.message, "more than %d scans", most);
    std::longjmp(errors.jump, 1);
  }

  const std::string& file_;
  std::string_view content_;
  Errors errors_;
  jpeg_progress_mgr limit_ = {};
  jpeg_decompress_struct info_ = {};
};

}  // namespace

Size jpeg_size(const std::string& file, std::string_view content) { return JpegDecoder(file, content).size(); }

Image decode_jpeg(const std::string& file, std::string_view content, Size enough) {
  return JpegDecoder(file, content).decode(enough);
}

}  // namespace mixgrad::data
