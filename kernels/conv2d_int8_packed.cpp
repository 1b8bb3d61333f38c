// SPDX-License-Identifier: Apache-2.0
// Byte convolutions laid out for an instruction set: weights once, inputs image by image where they need padding.
#include <algorithm>
#include <cstring>

#include "conv2d_clock.h"
#include "conv2d_int8.h"
#include "conv2d_int8_isas.h"
#include "lanes.h"
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

/// Copies n images [h, w · c] into the middle of n images [rows, columns · c]: rows by `copy`, `zero` around.
template <typename X, typename Code, typename Copy>
void copy_padded(const Conv2dSize& s, int64_t n, int64_t rows, int64_t columns, const X* x, Code* to, Code zero,
                 const Copy& copy) {
  const int64_t left = s.pad_left * s.c_in, row = columns * s.c_in, inner = s.w * s.c_in;
  for (int64_t r = 0; r < n * rows; ++r, to += row) {
    const int64_t y = r % rows - s.pad_top;
    if (y < 0 || y >= s.h) {
      std::fill_n(to, row, zero);
      continue;
    }
    std::fill_n(to, left, zero);
    copy(x, x + inner, to + left);
    std::fill(to + left + inner, to + row, zero);
    x += inner;
  }
}

MIXGRAD_CLONES void narrow(const float* x, const float* end, int16_t* to) {
  for (int64_t i = 0; i < end - x; ++i) to[i] = static_cast<int16_t>(static_cast<int32_t>(x[i]));
}

/// One word of consecutive weights.
uint32_t word(const int8_t* w, int64_t count, int code_bytes) {
  uint32_t out = 0;
  const int bits = 8 * code_bytes;
  for (int64_t i = 0; i < count; ++i) out |= (static_cast<uint32_t>(w[i]) & ((uint32_t{1} << bits) - 1)) << (bits * i);
  return out;
}
uint32_t word(const int16_t* w, int64_t count, int) {
  uint32_t out = 0;
  count == 2 ? std::memcpy(&out, w, 4) : std::memcpy(&out, w, 2);
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

PackedConv2dInt8::PackedConv2dInt8(const int8::Isa& isa, const Conv2dSize& s, std::span<const float> w)
    : PackedConv2dInt8(isa, s, false, Requantization(0, {}, {}, 0, 0)) {
  std::vector<int16_t> codes(w.size());
  narrow(w.data(), w.data() + w.size(), codes.data());
  pack(std::span<const int16_t>(codes));
}

PackedConv2dInt8::PackedConv2dInt8(const int8::Isa& isa, const Conv2dSize& s, bool x_signed,
                                   const Requantization& requantization)
    : isa_(&isa),
      size_(s),
      x_signed_(x_signed),
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
  const int64_t lanes = isa_->lanes, most = depthwise_ ? 1 : isa_->most_vectors, per_word = isa_->codes_per_word();
  const int64_t channels = size_.c_out / groups_, runs = std::ssize(offsets_), columns = runs * run_codes_;
  const bool offset = x_signed_ && isa_->code_bytes == 1;
  weights_.reserve(static_cast<size_t>(groups_ * rounded_up(channels, lanes) * runs * words_));
  for (int64_t g = 0; g < groups_; ++g) {
    const W* group = w.data() + g * channels * columns;
    for (int64_t first = 0, vectors = 0; first < channels; first += vectors * lanes) {
      vectors = std::min(most, (channels - first + lanes - 1) / lanes);
      for (int64_t k = 0; k < runs * words_; ++k) {
        const int64_t at = k % words_ * per_word, count = std::min(per_word, run_codes_ - at);
        const W* from = group + k / words_ * run_codes_ + at;
        for (int64_t c = first; c < first + vectors * lanes; ++c)
          weights_.push_back(c < channels ? word(from + c * columns, count, isa_->code_bytes) : 0);
      }
    }
    for (int64_t c = 0; c < rounded_up(channels, lanes); ++c) {
      int32_t sum = 0;
      for (int64_t k = 0; offset && c < channels && k < columns; ++k) sum += group[c * columns + k];
      start_.push_back(-128 * sum);
    }
  }
}

const void* PackedConv2dInt8::padded(const uint8_t* x, int64_t images) const {
  const int64_t codes = images * padded_h_ * padded_w_ * size_.c_in;
  void* to = scratch<Use::padded, uint8_t>(codes * isa_->code_bytes + slack);
  const auto copy = [&](auto* codes_to, const auto& stored) {
    copy_padded(size_, images, padded_h_, padded_w_, x, codes_to, stored(0),
                [&](auto from, auto end, auto at) { std::transform(from, end, at, stored); });
  };
  if (isa_->code_bytes == 1) {
    if (x_signed_)
      copy(static_cast<uint8_t*>(to), [](uint8_t code) { return static_cast<uint8_t>(code ^ 0x80); });
    else
      copy(static_cast<uint8_t*>(to), [](uint8_t code) { return code; });
  } else if (x_signed_) {
    copy(static_cast<int16_t*>(to), [](uint8_t code) { return static_cast<int16_t>(static_cast<int8_t>(code)); });
  } else {
    copy(static_cast<int16_t*>(to), [](uint8_t code) { return static_cast<int16_t>(code); });
  }
  return to;
}

const void* PackedConv2dInt8::padded(const float* x, int64_t images) const {
  auto* to = scratch<Use::padded, int16_t>(images * padded_h_ * padded_w_ * size_.c_in + slack);
  copy_padded(size_, images, padded_h_, padded_w_, x, to, int16_t{0}, narrow);
  return to;
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
    const auto* read = static_cast<const uint8_t*>(copies_ ? padded(from, images) : from);
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

bool conv2d_codes_by_integers(const Conv2dSize& s, std::span<const float> x, std::span<const float> w,
                              std::span<float> y) {
  const auto isas = int8::isas();
  const auto pairs = std::ranges::find(isas, 2, &int8::Isa::code_bytes);
  const bool read_often = s.kh * s.kw > s.stride_h * s.stride_w;  // then it pays to convert the input first
  if (pairs == isas.end() || pairs->lanes < widest_lanes() || s.groups != 1 || !read_often) return false;
  const ConvClock clock;
  PackedConv2dInt8(*pairs, s, w).sums(x, y);
  return true;
}

}  // namespace mixgrad::kernels
