// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/operators.h>

#include <src/internal/shapes.h>

#include <algorithm>

namespace mixgrad {
namespace {

constexpr int64_t most = 1 << 20;  // products of attributes and sizes can't overflow

template <size_t N>
bool all_between(const std::array<int64_t, N>& values, int64_t least) {
  return std::ranges::all_of(values, [&](int64_t v) { return v >= least && v <= most; });
}

/// The number of windows of `kernel` that fit. Each starts in the image or the padding before it and overlaps the
/// image.
int64_t windows(int64_t size, int64_t before, int64_t after, int64_t kernel, int64_t stride, bool ceil) {
  const int64_t room = size + before + after - kernel + (ceil ? stride - 1 : 0);
  if (room < 0 || before >= kernel || after >= kernel) return 0;
  const int64_t count = room / stride + 1;
  return ceil && (count - 1) * stride >= size + before ? count - 1 : count;
}

/// Whether one of `count` windows has all its positions outside the image, as dilation allows.
bool any_empty(int64_t count, int64_t size, int64_t before, int64_t kernel, int64_t stride, int64_t dilation) {
  for (int64_t i = 0; i < count; ++i) {
    bool empty = true;
    for (int64_t k = 0; empty && k < kernel; ++k) {
      const int64_t at = i * stride - before + k * dilation;
      empty = at < 0 || at >= size;
    }
    if (empty) return true;
  }
  return false;
}

}  // namespace

Conv2dSize conv2d_size(const Shape& x, const Shape& w, const Conv2dAttrs& a) {
  if (x.rank() != 4 || w.rank() != 4) {
    bad_input("[conv2d] input {} and weights {} must both have 4 dimensions (N, C, H, W and O, I, H, W)", x.str(),
              w.str());
  }
  if (a.groups < 1 || x[1] % a.groups != 0 || w[0] % a.groups != 0 || w[1] != x[1] / a.groups) {
    bad_input("[conv2d] input {} does not fit weights {} with {} groups: expected weights [O, {}, H, W]", x.str(),
              w.str(), a.groups, a.groups < 1 ? x[1] : x[1] / a.groups);
  }
  if (!all_between(a.stride, 1) || !all_between(a.dilation, 1) || !all_between(a.padding, 0) || w[2] < 1 || w[3] < 1) {
    bad_input("[conv2d] stride, dilation and kernel must be at least 1, padding at least 0, all at most {}", most);
  }
  Conv2dSize s{.n = x[0],
               .c_in = x[1],
               .h = x[2],
               .w = x[3],
               .c_out = w[0],
               .oh = 0,
               .ow = 0,
               .kh = w[2],
               .kw = w[3],
               .stride_h = a.stride[0],
               .stride_w = a.stride[1],
               .pad_top = a.padding[0],
               .pad_left = a.padding[1],
               .dilation_h = a.dilation[0],
               .dilation_w = a.dilation[1],
               .groups = a.groups};
  const int64_t room_h = x[2] + a.padding[0] + a.padding[2] - ((w[2] - 1) * a.dilation[0] + 1);
  const int64_t room_w = x[3] + a.padding[1] + a.padding[3] - ((w[3] - 1) * a.dilation[1] + 1);
  if (room_h < 0 || room_w < 0) {
    bad_input("[conv2d] the kernel of weights {} is larger than the padded input {}", w.str(), x.str());
  }
  s.oh = room_h / a.stride[0] + 1;
  s.ow = room_w / a.stride[1] + 1;
  return s;
}

Conv2dSize conv_transpose2d_size(const Shape& x, const Shape& w, const ConvTranspose2dAttrs& a) {
  if (x.rank() != 4 || w.rank() != 4 || a.groups < 1 || x[1] % a.groups != 0 || w[0] % a.groups != 0 ||
      w[1] != x[1] / a.groups) {
    bad_input(
        "[conv_transpose2d] input {} does not fit weights {} in {} groups: expected [N, C, H, W] and [O, C / "
        "groups, KH, KW]",
        x.str(), w.str(), a.groups);
  }
  if (!all_between(a.stride, 1) || !all_between(a.dilation, 1) || !all_between(a.padding, 0) ||
      !all_between(a.output_padding, 0) || w[2] < 1 || w[3] < 1) {
    bad_input("[conv_transpose2d] stride, dilation and kernel must be at least 1, padding at least 0, all at most {}",
              most);
  }
  std::array<int64_t, 2> y{};
  for (size_t d = 0; d < 2; ++d) {
    const int at = static_cast<int>(d) + 2;
    const int64_t span = (w[at] - 1) * a.dilation[d] + 1, before = a.padding[d], after = a.padding[d + 2];
    if (before >= span || after >= span) bad_input("[conv_transpose2d] padding must be less than the kernel's span");
    if (a.output_padding[d] >= a.stride[d] + after)
      bad_input("[conv_transpose2d] output_padding must be less than the stride and the padding at the end together");
    y[d] = (x[at] - 1) * a.stride[d] + span - before - after + a.output_padding[d];
  }
  if (y[0] < 1 || y[1] < 1)
    bad_input("[conv_transpose2d] padding leaves nothing of the output of input {}, weights {}", x.str(), w.str());
  Conv2dSize s = conv2d_size({x[0], w[0], y[0], y[1]}, {x[1], w[0] / a.groups, w[2], w[3]},
                             {.stride = a.stride, .padding = a.padding, .dilation = a.dilation, .groups = a.groups});
  s.oh = x[2];  // one less than the convolution has with a large output_padding
  s.ow = x[3];
  return s;
}

Pool2dSize pool2d_size(const char* op, const Shape& x, const Pool2dAttrs& a) {
  if (x.rank() != 4) bad_input("[{}] input {} must have 4 dimensions (N, C, H, W)", op, x.str());
  if (!all_between(a.kernel, 1) || !all_between(a.dilation, 1) || !all_between(a.stride, 0) ||
      !all_between(a.padding, 0)) {
    bad_input("[{}] kernel and dilation must be at least 1, stride and padding at least 0, all at most {}", op, most);
  }
  if (a.dilation != std::array<int64_t, 2>{1, 1} && op != std::string_view(op::MaxPool2d::name()))
    bad_input("[{}] dilation {}x{}: only max pooling can be dilated", op, a.dilation[0], a.dilation[1]);
  const int64_t stride_h = a.stride[0] > 0 ? a.stride[0] : a.kernel[0];
  const int64_t stride_w = a.stride[1] > 0 ? a.stride[1] : a.kernel[1];
  const int64_t span_h = (a.kernel[0] - 1) * a.dilation[0] + 1, span_w = (a.kernel[1] - 1) * a.dilation[1] + 1;
  const int64_t oh = windows(x[2], a.padding[0], a.padding[2], span_h, stride_h, a.ceil);
  const int64_t ow = windows(x[3], a.padding[1], a.padding[3], span_w, stride_w, a.ceil);
  if (oh < 1 || ow < 1) {
    bad_input("[{}] a window of {}x{} with padding {} {} {} {} (top, left, bottom, right) does not fit input {}", op,
              span_h, span_w, a.padding[0], a.padding[1], a.padding[2], a.padding[3], x.str());
  }
  if (any_empty(oh, x[2], a.padding[0], a.kernel[0], stride_h, a.dilation[0]) ||
      any_empty(ow, x[3], a.padding[1], a.kernel[1], stride_w, a.dilation[1]))
    bad_input("[{}] with dilation {}x{}, a window has no position in the input {}", op, a.dilation[0], a.dilation[1],
              x.str());
  return {.n = x[0],
          .c = x[1],
          .h = x[2],
          .w = x[3],
          .oh = oh,
          .ow = ow,
          .kh = a.kernel[0],
          .kw = a.kernel[1],
          .stride_h = stride_h,
          .stride_w = stride_w,
          .pad_top = a.padding[0],
          .pad_left = a.padding[1],
          .pad_bottom = a.padding[2],
          .pad_right = a.padding[3],
          .dilation_h = a.dilation[0],
          .dilation_w = a.dilation[1],
          .count_padding = a.count_padding};
}

kernels::Pad2dSize padded_size(const char* op, const Shape& x, const Pad2dAttrs& a) {
  if (x.rank() != 4) bad_input("[{}] input {} must have 4 dimensions (N, C, H, W)", op, x.str());
  if (!all_between(a.padding, 0)) bad_input("[{}] padding must be at least 0 and at most {}", op, most);
  return {.n = x[0],
          .c = x[1],
          .h = x[2],
          .w = x[3],
          .top = a.padding[0],
          .left = a.padding[1],
          .bottom = a.padding[2],
          .right = a.padding[3]};
}

kernels::Upsample2dSize upsampled_size(const char* op, const Shape& x, const Upsample2dAttrs& a) {
  if (x.rank() != 4) bad_input("[{}] input {} must have 4 dimensions (N, C, H, W)", op, x.str());
  constexpr int64_t most_factor = 1 << 10;
  if (!std::ranges::all_of(a.factor, [](int64_t f) { return f >= 1 && f <= most_factor; }))
    bad_input("[{}] factors must be at least 1 and at most {}", op, most_factor);
  return {.n = x[0], .c = x[1], .h = x[2], .w = x[3], .rows = a.factor[0], .columns = a.factor[1]};
}

op::Sweep sweep_of(const kernels::Pad2dSize& s) {
  return {.input = {s.h, s.w}, .output = {s.out_h(), s.out_w()}, .before = {s.top, s.left}};
}

op::Sweep sweep_of(const kernels::Upsample2dSize& s) {
  return {.input = {s.h, s.w},
          .output = {s.h * s.rows, s.w * s.columns},
          .before = {s.rows - 1, s.columns - 1},
          .apart = {s.rows, s.columns}};
}

RowsChannels rows_channels(const char* op, const Shape& x) {
  if (x.rank() != 2 && x.rank() != 4) bad_input("[{}] input {} must be [N, C, H, W] or [N, C]", op, x.str());
  return {.rows = x[1] == 0 ? 0 : x.size() / x[1], .channels = x[1]};
}

void check_linear(const Shape& x, const Shape& w) {
  if (x.rank() != 2 || w.rank() != 2 || x[1] != w[1]) {
    bad_input(
        "[linear] input {} does not fit weights {}: expected [N, I] and [O, I]; flatten a 4-dimensional input first",
        x.str(), w.str());
  }
}

kernels::WeightSize weight_size(const Shape& w) {
  return {.channels = w[0], .per_channel = w[0] == 0 ? 0 : w.size() / w[0]};
}

kernels::WeightSize quantized_weight_size(const Tensor& w, size_t bit_widths, const char* name, const Tensor& t) {
  const kernels::WeightSize s = weight_size(w.shape());
  if (static_cast<int64_t>(bit_widths) != s.channels)
    bad_input("[quantize_weight] {} bit-widths do not fit weights {}", bit_widths, w.shape().str());
  check_vector("quantize_weight", name, t, s.channels);
  return s;
}

void check_vector(const char* op, const char* name, const Tensor& t, int64_t length) {
  if (t && t.shape() != Shape{length})
    bad_input("[{}] {} has shape {}: expected [{}]", op, name, t.shape().str(), length);
}

}  // namespace mixgrad
