// SPDX-License-Identifier: Apache-2.0
// Byte convolutions laid out for an instruction set: weights once, inputs image by image where they need padding.
#include <algorithm>
#include <cstring>

#include "conv2d_clock.h"
#include "conv2d_int8.h"
#include "conv2d_int8_isas.h"
#include "cpu.h"
#include "lanes.h"
#include "layout.h"
#include "scratch.h"

namespace mixgrad::kernels {
namespace {

constexpr int64_t slack = 64;              // bytes that kernels may read beyond the copied input
constexpr int64_t positions_at_once = 48;  // small images run together, so that their positions fill registers

/// The part of the rows or columns that windows reach, with what lies within the image and beyond.
int64_t extent(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
  return std::max(pad + in, (out - 1) * stride + (kernel - 1) * dilation + 1);
}

enum class Use { padded };

/// The whole numbers that are held: one, or as many as a register has lanes.
MIXGRAD_INLINE int32_t number(float held) { return static_cast<int32_t>(held); }
MIXGRAD_INLINE int32_t number(bfloat16 held) { return number(static_cast<float>(held)); }
MIXGRAD_INLINE int32_t number(uint8_t held) { return held; }
MIXGRAD_INLINE int32_t number(int8_t held) { return held; }

template <int Width>
using Numbers = typename LanesOf<Width>::Bits;

template <int Width, typename X>
MIXGRAD_INLINE Numbers<Width> numbers(const X* held) {
  typename VectorOf<X, Width>::Type v;
  std::memcpy(&v, held, sizeof v);
  return __builtin_convertvector(v, Numbers<Width>);
}
template <int Width>
MIXGRAD_INLINE Numbers<Width> numbers(const bfloat16* held) {
  const auto bits = (typename LanesOf<Width>::Words)numbers<Width>(&held->bits) << 16;
  return __builtin_convertvector((Lanes<Width>)bits, Numbers<Width>);
}

/// Numbers in fewer bits, with `offset` added.
template <typename X, typename Code>
void store(const X* x, int64_t count, int32_t offset, Code* to) {
  widest([=]<int Width>() __attribute__((always_inline)) {
    int64_t i = 0;
    for (; i + Width <= count; i += Width) {
      const auto codes = __builtin_convertvector(numbers<Width>(x + i) + offset, typename VectorOf<Code, Width>::Type);
      std::memcpy(to + i, &codes, sizeof codes);
    }
    for (; i < count; ++i) to[i] = static_cast<Code>(number(x[i]) + offset);
  });
}

/// Copies n images [h, w · c] into the middle of n images [rows, columns · c], with `offset` added and around them.
template <typename X, typename Code>
void copy_padded(const Conv2dSize& s, int64_t n, int64_t rows, int64_t columns, const X* x, int32_t offset, Code* to) {
  const int64_t left = s.pad_left * s.c_in, row = columns * s.c_in, inner = s.w * s.c_in;
  const Code zero = static_cast<Code>(offset);
  for (int64_t r = 0; r < n * rows; ++r, to += row) {
    const int64_t y = r % rows - s.pad_top;
    if (y < 0 || y >= s.h) {
      std::fill_n(to, row, zero);
      continue;
    }
    std::fill_n(to, left, zero);
    store(x, inner, offset, to + left);
    std::fill(to + left + inner, to + row, zero);
    x += inner;
  }
}

/// Runs of codes in whole words, with zeros at the end.
template <typename Code, typename W>
std::vector<uint32_t> in_words(std::span<const W> w, int64_t run_codes, int64_t words) {
  const int64_t runs = std::ssize(w) / run_codes;
  std::vector<uint32_t> out(static_cast<size_t>(runs * words));
  std::vector<Code> run(static_cast<size_t>(words) * sizeof(uint32_t) / sizeof(Code));
  for (int64_t r = 0; r < runs; ++r) {
    store(w.data() + r * run_codes, run_codes, 0, run.data());
    std::memcpy(out.data() + r * words, run.data(), run.size() * sizeof(Code));
  }
  return out;
}

}  // namespace

/// Where results go; two of them are null.
struct PackedConv2dInt8::Output {
  uint8_t* codes = nullptr;
  int32_t* sums = nullptr;
  float* floats = nullptr;
};

PackedConv2dInt8::PackedConv2dInt8(const int8::Isa& isa, const Conv2dSize& s, bool x_signed, std::span<const int8_t> w,
                                   const Requantization& requantization)
    : PackedConv2dInt8(isa, s, x_signed, requantization) {
  pack(w);
}

PackedConv2dInt8::PackedConv2dInt8(const int8::Isa& isa, const Conv2dSize& s, bool x_signed, std::span<const float> w)
    : PackedConv2dInt8(isa, s, x_signed, Requantization(0, {}, {}, 0, 0)) {
  pack(w);
}

PackedConv2dInt8::PackedConv2dInt8(const int8::Isa& isa, const Conv2dSize& s, bool x_signed,
                                   const Requantization& requantization)
    : isa_(&isa),
      size_(s),
      x_signed_(x_signed),
      offset_(x_signed && isa.code_bytes == 1 ? 128 : 0),
      depthwise_(s.groups > 1 && s.groups == s.c_in && s.groups == s.c_out),
      groups_(depthwise_ ? 1 : s.groups),
      padded_h_(extent(s.h, s.oh, s.kh, s.stride_h, s.dilation_h, s.pad_top)),
      padded_w_(extent(s.w, s.ow, s.kw, s.stride_w, s.dilation_w, s.pad_left)),
      requantization_(requantization) {
  const bool rows_are_runs = s.groups == 1 && (s.dilation_w == 1 || s.kw == 1);
  run_codes_ = rows_are_runs ? s.kw * s.c_in : s.c_in / s.groups;
  words_ = (run_codes_ + isa.codes_per_word() - 1) / isa.codes_per_word();
  for (int64_t ky = 0; ky < s.kh; ++ky) {
    for (int64_t kx = 0; kx < (rows_are_runs ? 1 : s.kw); ++kx)
      offsets_.push_back((ky * s.dilation_h * padded_w_ + kx * s.dilation_w) * s.c_in);
  }
  const bool reads_beyond = depthwise_ ? s.c_in % isa.lanes != 0 : run_codes_ % isa.codes_per_word() != 0;
  copies_ = isa.code_bytes > 1 || x_signed || reads_beyond || padded_h_ != s.h || padded_w_ != s.w;
}

std::unique_ptr<const PackedConv2dInt8> PackedConv2dInt8::make(const Conv2dSize& s, bool x_signed,
                                                               std::span<const int8_t> w,
                                                               const Requantization& requantization) {
  const std::span<const int8::Isa> isas = int8::isas();
  if (isas.empty()) return nullptr;
  return std::make_unique<const PackedConv2dInt8>(isas.back(), s, x_signed, w, requantization);
}

template <typename W>
void PackedConv2dInt8::pack(std::span<const W> w) {
  const int64_t lanes = isa_->lanes, most = depthwise_ ? 1 : isa_->most_vectors;
  const int64_t channels = size_.c_out / groups_, filled = rounded_up(channels, lanes);
  const int64_t runs = std::ssize(offsets_), depth = runs * words_, codes = runs * run_codes_;
  const std::vector<uint32_t> words =
      isa_->code_bytes == 1 ? in_words<int8_t>(w, run_codes_, words_) : in_words<int16_t>(w, run_codes_, words_);
  weights_.resize(static_cast<size_t>(groups_ * filled * depth));
  start_.resize(static_cast<size_t>(groups_ * filled));
  uint32_t* to = weights_.data();
  for (int64_t g = 0; g < groups_; ++g) {
    for (int64_t first = 0; first < filled; first += most * lanes) {
      const int64_t width = std::min(most * lanes, filled - first);
      transpose(words.data() + (g * channels + first) * depth, channels - first, depth, width, to);
      to += width * depth;
    }
    for (int64_t c = 0; offset_ != 0 && c < channels; ++c) {
      int32_t sum = 0;
      for (const W code : w.subspan(static_cast<size_t>((g * channels + c) * codes), static_cast<size_t>(codes)))
        sum += number(code);
      start_[static_cast<size_t>(g * filled + c)] = -offset_ * sum;
    }
  }
}

template <typename X>
const void* PackedConv2dInt8::padded(const X* x, int64_t images) const {
  const int64_t codes = images * padded_h_ * padded_w_ * size_.c_in;
  void* to = scratch<Use::padded, uint8_t>(codes * isa_->code_bytes + slack);
  if (isa_->code_bytes == 1)
    copy_padded(size_, images, padded_h_, padded_w_, x, offset_, static_cast<uint8_t*>(to));
  else
    copy_padded(size_, images, padded_h_, padded_w_, x, offset_, static_cast<int16_t*>(to));
  return to;
}

const void* PackedConv2dInt8::readable(const uint8_t* x, int64_t images) const {
  if (!copies_) return x;
  return x_signed_ ? padded(reinterpret_cast<const int8_t*>(x), images) : padded(x, images);
}

template <typename X>
void PackedConv2dInt8::run(const X* x, Output y) const {
  const Conv2dSize& s = size_;
  const int64_t positions = s.oh * s.ow, at_once = std::max<int64_t>(1, positions_at_once / positions);
  const int64_t channels = s.c_out / groups_, group_weights = std::ssize(weights_) / groups_;
  const int64_t row = padded_w_ * s.c_in;
  for (int64_t n = 0; n < s.n; n += at_once) {
    const int64_t images = std::min(at_once, s.n - n);
    const X* from = x + n * s.h * s.w * s.c_in;
    const auto* read = static_cast<const uint8_t*>(readable(from, images));
    for (int64_t g = 0; g < groups_; ++g) {
      const int64_t first = n * positions * s.c_out + g * channels;
      const int8::Job job = {.x = read + g * (s.c_in / groups_) * isa_->code_bytes,
                             .images = images,
                             .rows = s.oh,
                             .columns = s.ow,
                             .image_step = padded_h_ * row,
                             .row_step = s.stride_h * row,
                             .column_step = s.stride_w * s.c_in,
                             .offsets = offsets_.data(),
                             .runs = std::ssize(offsets_),
                             .words = words_,
                             .channels = channels,
                             .all_channels = s.c_out,
                             .weights = weights_.data() + g * group_weights,
                             .start = start_.data() + g * rounded_up(channels, isa_->lanes),
                             .scale = requantization_.scale().from(g * channels),
                             .codes = y.codes == nullptr ? nullptr : y.codes + first,
                             .sums = y.sums == nullptr ? nullptr : y.sums + first,
                             .floats = y.floats == nullptr ? nullptr : y.floats + first};
      (depthwise_ ? isa_->depthwise : isa_->dense)(job);
    }
  }
}

void PackedConv2dInt8::sums(std::span<const uint8_t> x, std::span<int32_t> sums) const {
  run(x.data(), {.sums = sums.data()});
}

void PackedConv2dInt8::codes(std::span<const uint8_t> x, std::span<uint8_t> codes) const {
  run(x.data(), {.codes = codes.data()});
}

void PackedConv2dInt8::sums(std::span<const float> x, std::span<float> sums) const {
  run(x.data(), {.floats = sums.data()});
}

void PackedConv2dInt8::sums(std::span<const bfloat16> x, std::span<float> sums) const {
  run(x.data(), {.floats = sums.data()});
}

namespace {

struct Range {
  int32_t low = 0, high = 0;

  bool within(int32_t least, int32_t most) const { return low >= least && high <= most; }
};

/// Of the numbers and zero.
template <typename X>
Range range_of(std::span<const X> x) {
  Range range;
  widest([&]<int Width>() __attribute__((always_inline)) {
    const int64_t count = std::ssize(x);
    Numbers<Width> low = {}, high = {};
    int64_t i = 0;
    for (; i + Width <= count; i += Width) {
      const Numbers<Width> n = numbers<Width>(x.data() + i);
      low = n < low ? n : low;
      high = n > high ? n : high;
    }
    for (int l = 0; l < Width; ++l) range = {std::min(range.low, low[l]), std::max(range.high, high[l])};
    for (; i < count; ++i) range = {std::min(range.low, number(x[i])), std::max(range.high, number(x[i]))};
  });
  return range;
}

template <typename X>
bool by_integers(const Conv2dSize& s, std::span<const X> x, std::span<const float> w, std::span<float> y) {
  const bool read_often = s.kh * s.kw > s.stride_h * s.stride_w;  // then it pays to convert the input first
  const bool tiles_of_bfloat16 = has_amx() && bfloat16_is_fast();
  if (s.groups != 1 || !read_often || tiles_of_bfloat16) return false;
  Range in_x;
  const auto in_bytes = [&] {
    in_x = range_of(x);
    return (in_x.within(0, 255) || in_x.within(-128, 127)) && range_of(w).within(-128, 127);
  };
  const int8::Isa* newest = nullptr;
  for (const int8::Isa& isa : int8::isas())
    if (isa.lanes >= widest_lanes() && (isa.code_bytes > 1 || in_bytes())) newest = &isa;
  if (newest == nullptr) return false;
  const ConvClock clock;
  PackedConv2dInt8(*newest, s, in_x.low < 0, w).sums(x, y);
  return true;
}

}  // namespace

bool conv2d_codes_by_integers(const Conv2dSize& s, std::span<const float> x, std::span<const float> w,
                              std::span<float> y) {
  return by_integers(s, x, w, y);
}

bool conv2d_codes_by_integers(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w,
                              std::span<float> y) {
  return by_integers(s, x, w, y);
}

}  // namespace mixgrad::kernels
