// SPDX-License-Identifier: Apache-2.0
// The output shapes of ops, and checks of their inputs.
#pragma once

#include <mixgrad/operators.h>
#include <mixgrad/tensor.h>

#include <kernels/conv2d.h>
#include <kernels/move.h>
#include <kernels/pool.h>
#include <kernels/quantize.h>

namespace mixgrad {

/// Throws bad_input "[op] ..." if the shapes don't fit.
Conv2dSize conv2d_size(const Shape& x, const Shape& w, const Conv2dAttrs& attrs);
/// The convolution from y to x whose gradient a transposed convolution from x to y is: its c_in, h and w are those of
/// y. w [O, I / groups, KH, KW].
Conv2dSize conv_transpose2d_size(const Shape& x, const Shape& w, const ConvTranspose2dAttrs& attrs);
Pool2dSize pool2d_size(const char* op, const Shape& x, const Pool2dAttrs& attrs);
kernels::Pad2dSize padded_size(const char* op, const Shape& x, const Pad2dAttrs& attrs);
kernels::Upsample2dSize upsampled_size(const char* op, const Shape& x, const Upsample2dAttrs& attrs);
/// `Size`: Conv2dSize or Pool2dSize.
template <typename Size>
op::Sweep sweep_of(const Size& s) {
  return {.input = {s.h, s.w},
          .output = {s.oh, s.ow},
          .stride = {s.stride_h, s.stride_w},
          .before = {s.pad_top, s.pad_left},
          .rows = (s.kh - 1) * s.dilation_h + 1};
}
op::Sweep sweep_of(const kernels::Pad2dSize& s);
/// As a transposed convolution with a kernel of the repeated size.
op::Sweep sweep_of(const kernels::Upsample2dSize& s);
/// [C, H, W] to [1, C, H, W]
inline Shape one_image(const Shape& s) { return {1, s[0], s[1], s[2]}; }
/// Rows and channels of [N, C, H, W] or [N, C] in memory (channels last).
struct RowsChannels {
  int64_t rows, channels;
};
RowsChannels rows_channels(const char* op, const Shape& x);
/// Checks the shapes of a linear layer; w [O, I].
void check_linear(const Shape& x, const Shape& w);
/// A weight tensor as a matrix with one row per output channel.
kernels::WeightSize weight_size(const Shape& w);
/// The same for quantize_weight. Throws unless there is a bit-width (or range) and a number in `t`, called `name`, for
/// every output channel.
kernels::WeightSize quantized_weight_size(const Tensor& w, size_t bit_widths, const char* name, const Tensor& t);
/// Throws unless `t` is missing or has shape [length].
void check_vector(const char* op, const char* name, const Tensor& t, int64_t length);

}  // namespace mixgrad
