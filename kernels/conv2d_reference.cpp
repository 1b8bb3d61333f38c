// SPDX-License-Identifier: Apache-2.0
// Every output element is computed separately in double precision, so nothing depends on the number of threads.
#include "conv2d.h"
#include "conv2d_clock.h"
#include "parallel.h"

namespace mixgrad::kernels {

void conv_seconds_enable(bool on) { ConvClock::enabled = on; }
void conv_seconds_reset() { ConvClock::nanoseconds = 0; }
double conv_seconds() { return 1e-9 * static_cast<double>(ConvClock::nanoseconds); }

namespace reference {
namespace {

int64_t x_at(const Conv2dSize& s, int64_t n, int64_t y, int64_t x) { return ((n * s.h + y) * s.w + x) * s.c_in; }
int64_t y_at(const Conv2dSize& s, int64_t n, int64_t y, int64_t x) { return ((n * s.oh + y) * s.ow + x) * s.c_out; }
int64_t w_at(const Conv2dSize& s, int64_t o, int64_t ky, int64_t kx) {
  return ((o * s.kh + ky) * s.kw + kx) * (s.c_in / s.groups);
}

/// The position that tap k of output o reads, and whether it lies in [0, size).
struct Source {
  int64_t at;
  bool inside;
};
Source source(int64_t o, int64_t k, int64_t stride, int64_t dilation, int64_t pad, int64_t size) {
  const int64_t at = o * stride - pad + k * dilation;
  return {at, at >= 0 && at < size};
}

/// The output position that reads input i through tap k, and whether there is one.
Source reader(int64_t i, int64_t k, int64_t stride, int64_t dilation, int64_t pad, int64_t outputs) {
  const int64_t scaled = i + pad - k * dilation;
  return {scaled / stride, scaled >= 0 && scaled % stride == 0 && scaled / stride < outputs};
}

double output_element(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, int64_t n, int64_t oy,
                      int64_t ox, int64_t o) {
  const int64_t per_group = s.c_in / s.groups, first = o / (s.c_out / s.groups) * per_group;
  double sum = 0;
  for (int64_t ky = 0; ky < s.kh; ++ky)
    for (int64_t kx = 0; kx < s.kw; ++kx) {
      const Source iy = source(oy, ky, s.stride_h, s.dilation_h, s.pad_top, s.h);
      const Source ix = source(ox, kx, s.stride_w, s.dilation_w, s.pad_left, s.w);
      if (!iy.inside || !ix.inside) continue;
      const float* in = x.data() + x_at(s, n, iy.at, ix.at) + first;
      const float* weight = w.data() + w_at(s, o, ky, kx);
      for (int64_t i = 0; i < per_group; ++i) sum += double{in[i]} * weight[i];
    }
  return sum;
}

double grad_x_element(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, int64_t n, int64_t iy,
                      int64_t ix, int64_t i) {
  const int64_t per_group = s.c_in / s.groups, outputs = s.c_out / s.groups;
  const int64_t first = i / per_group * outputs;
  double sum = 0;
  for (int64_t ky = 0; ky < s.kh; ++ky)
    for (int64_t kx = 0; kx < s.kw; ++kx) {
      const Source oy = reader(iy, ky, s.stride_h, s.dilation_h, s.pad_top, s.oh);
      const Source ox = reader(ix, kx, s.stride_w, s.dilation_w, s.pad_left, s.ow);
      if (!oy.inside || !ox.inside) continue;
      const float* g = gy.data() + y_at(s, n, oy.at, ox.at);
      for (int64_t o = first; o < first + outputs; ++o)
        sum += double{g[o]} * w[static_cast<size_t>(w_at(s, o, ky, kx) + i % per_group)];
    }
  return sum;
}

double grad_w_element(const Conv2dSize& s, std::span<const float> x, std::span<const float> gy, int64_t o, int64_t ky,
                      int64_t kx, int64_t i) {
  const int64_t channel = o / (s.c_out / s.groups) * (s.c_in / s.groups) + i;
  double sum = 0;
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t oy = 0; oy < s.oh; ++oy)
      for (int64_t ox = 0; ox < s.ow; ++ox) {
        const Source iy = source(oy, ky, s.stride_h, s.dilation_h, s.pad_top, s.h);
        const Source ix = source(ox, kx, s.stride_w, s.dilation_w, s.pad_left, s.w);
        if (iy.inside && ix.inside)
          sum += double{gy[static_cast<size_t>(y_at(s, n, oy, ox) + o)]} *
                 x[static_cast<size_t>(x_at(s, n, iy.at, ix.at) + channel)];
      }
  return sum;
}

}  // namespace

void conv2d(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<const float> bias,
            std::span<float> y) {
  parallel_chunks(s.n * s.oh, 1, [&](int64_t row, int64_t) {
    for (int64_t ox = 0; ox < s.ow; ++ox)
      for (int64_t o = 0; o < s.c_out; ++o) {
        const double sum = output_element(s, x, w, row / s.oh, row % s.oh, ox, o);
        const double offset = bias.empty() ? 0.0 : double{bias[static_cast<size_t>(o)]};
        y[static_cast<size_t>(y_at(s, row / s.oh, row % s.oh, ox) + o)] = static_cast<float>(sum + offset);
      }
  });
}

void conv2d_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx) {
  if (!gx) return;
  parallel_chunks(s.n * s.h, 1, [&](int64_t row, int64_t) {
    for (int64_t ix = 0; ix < s.w; ++ix)
      for (int64_t i = 0; i < s.c_in; ++i)
        gx.put(x_at(s, row / s.h, row % s.h, ix) + i,
               static_cast<float>(grad_x_element(s, gy, w, row / s.h, row % s.h, ix, i)));
  });
}

void conv2d_grad_w(const Conv2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gw, Grad gbias) {
  parallel_chunks(s.c_out, 1, [&](int64_t o, int64_t) {
    if (gw)
      for (int64_t ky = 0; ky < s.kh; ++ky)
        for (int64_t kx = 0; kx < s.kw; ++kx)
          for (int64_t i = 0; i < s.c_in / s.groups; ++i)
            gw.put(w_at(s, o, ky, kx) + i, static_cast<float>(grad_w_element(s, x, gy, o, ky, kx, i)));
    if (gbias) {
      double sum = 0;
      for (int64_t at = o; at < y_at(s, s.n, 0, 0); at += s.c_out) sum += double{gy[static_cast<size_t>(at)]};
      gbias.put(o, static_cast<float>(sum));
    }
  });
}

}  // namespace reference
}  // namespace mixgrad::kernels
