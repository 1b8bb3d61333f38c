// SPDX-License-Identifier: Apache-2.0
// The layers of the four MLPerf Tiny networks, with buffers to run them.
#pragma once

#include <kernels/conv2d.h>

#include <fmt/core.h>

#include <random>
#include <string>
#include <vector>

namespace mixgrad::layers {

namespace k = mixgrad::kernels;
using Floats = std::vector<float>;

/// Images per micro-batch, as train::micro_batch_size chooses for ResNet8 with 1 MB of L2 cache.
inline constexpr int64_t images = 8;

/// Normally distributed values around 0: none is subnormal, and half of them are negative.
inline Floats normal(int64_t size, float deviation = 1) {
  std::mt19937 generator(0);
  std::normal_distribution<float> distribution(0, deviation);
  Floats values(static_cast<size_t>(size));
  for (float& v : values) v = distribution(generator);
  return values;
}

inline Floats filled(int64_t size, float value = 0) { return Floats(static_cast<size_t>(size), value); }

inline k::Grad grad(Floats& into) { return {.data = into.data()}; }

enum class Direction { forward, grad_x, grad_w };

/// A distinct shape; `layers` of the network's layers have it.
struct ConvShape {
  const char* network;
  int layers;
  int64_t c_in, h, w, c_out, oh, ow, kh, kw, stride, pad_h, pad_w;
  bool depthwise;

  k::Conv2dSize size() const {
    return {.n = images,
            .c_in = c_in,
            .h = h,
            .w = w,
            .c_out = c_out,
            .oh = oh,
            .ow = ow,
            .kh = kh,
            .kw = kw,
            .stride_h = stride,
            .stride_w = stride,
            .pad_top = pad_h,
            .pad_left = pad_w,
            .groups = depthwise ? c_in : 1};
  }
  std::string name() const {
    return fmt::format("{}/{}{}x{}x{}_to_{}x{}x{}_k{}x{}_x{}", network, depthwise ? "dw_" : "", c_in, h, w, c_out, oh,
                       ow, kh, kw, layers);
  }
};

// From ../shared/golden/zoo.json. The autoencoder has no convolution.
inline constexpr ConvShape conv_shapes[] = {
    // network, layers | c_in, h, w | c_out, oh, ow | kh, kw, stride, pad_h, pad_w, depthwise
    {"resnet8", 1, 3, 32, 32, 16, 32, 32, 3, 3, 1, 1, 1, false},
    {"resnet8", 2, 16, 32, 32, 16, 32, 32, 3, 3, 1, 1, 1, false},
    {"resnet8", 1, 16, 32, 32, 32, 16, 16, 3, 3, 2, 1, 1, false},
    {"resnet8", 1, 32, 16, 16, 32, 16, 16, 3, 3, 1, 1, 1, false},
    {"resnet8", 1, 16, 32, 32, 32, 16, 16, 1, 1, 2, 0, 0, false},
    {"resnet8", 1, 32, 16, 16, 64, 8, 8, 3, 3, 2, 1, 1, false},
    {"resnet8", 1, 64, 8, 8, 64, 8, 8, 3, 3, 1, 1, 1, false},
    {"resnet8", 1, 32, 16, 16, 64, 8, 8, 1, 1, 2, 0, 0, false},
    {"mobilenet_v1", 1, 3, 96, 96, 8, 48, 48, 3, 3, 2, 1, 1, false},
    {"mobilenet_v1", 1, 8, 48, 48, 8, 48, 48, 3, 3, 1, 1, 1, true},
    {"mobilenet_v1", 1, 8, 48, 48, 16, 48, 48, 1, 1, 1, 0, 0, false},
    {"mobilenet_v1", 1, 16, 48, 48, 16, 24, 24, 3, 3, 2, 1, 1, true},
    {"mobilenet_v1", 1, 16, 24, 24, 32, 24, 24, 1, 1, 1, 0, 0, false},
    {"mobilenet_v1", 1, 32, 24, 24, 32, 24, 24, 3, 3, 1, 1, 1, true},
    {"mobilenet_v1", 1, 32, 24, 24, 32, 24, 24, 1, 1, 1, 0, 0, false},
    {"mobilenet_v1", 1, 32, 24, 24, 32, 12, 12, 3, 3, 2, 1, 1, true},
    {"mobilenet_v1", 1, 32, 12, 12, 64, 12, 12, 1, 1, 1, 0, 0, false},
    {"mobilenet_v1", 1, 64, 12, 12, 64, 12, 12, 3, 3, 1, 1, 1, true},
    {"mobilenet_v1", 1, 64, 12, 12, 64, 12, 12, 1, 1, 1, 0, 0, false},
    {"mobilenet_v1", 1, 64, 12, 12, 64, 6, 6, 3, 3, 2, 1, 1, true},
    {"mobilenet_v1", 1, 64, 6, 6, 128, 6, 6, 1, 1, 1, 0, 0, false},
    {"mobilenet_v1", 5, 128, 6, 6, 128, 6, 6, 3, 3, 1, 1, 1, true},
    {"mobilenet_v1", 5, 128, 6, 6, 128, 6, 6, 1, 1, 1, 0, 0, false},
    {"mobilenet_v1", 1, 128, 6, 6, 128, 3, 3, 3, 3, 2, 1, 1, true},
    {"mobilenet_v1", 1, 128, 3, 3, 256, 3, 3, 1, 1, 1, 0, 0, false},
    {"mobilenet_v1", 1, 256, 3, 3, 256, 3, 3, 3, 3, 1, 1, 1, true},
    {"mobilenet_v1", 1, 256, 3, 3, 256, 3, 3, 1, 1, 1, 0, 0, false},
    {"ds_cnn", 1, 1, 49, 10, 64, 25, 5, 10, 4, 2, 5, 1, false},
    {"ds_cnn", 4, 64, 25, 5, 64, 25, 5, 3, 3, 1, 1, 1, true},
    {"ds_cnn", 4, 64, 25, 5, 64, 25, 5, 1, 1, 1, 0, 0, false},
};

/// 3x3 convolutions of `c_in` channels of `size` x `size` pixels to `c_out`, on both sides of what Winograd's algorithm
/// suits: those of ResNet8, few channels, many, an odd number, small images.
struct SquareShape {
  int64_t c_in, size, c_out;

  k::Conv2dSize conv() const {
    return {.n = images,
            .c_in = c_in,
            .h = size,
            .w = size,
            .c_out = c_out,
            .oh = size,
            .ow = size,
            .kh = 3,
            .kw = 3,
            .pad_top = 1,
            .pad_left = 1};
  }
};

inline constexpr SquareShape winograd_shapes[] = {
    {3, 32, 16}, {8, 48, 8},  {16, 32, 16}, {13, 16, 29},   {24, 24, 24},  {32, 16, 32},  {48, 7, 96},
    {64, 8, 64}, {64, 5, 64}, {64, 2, 64},  {128, 16, 128}, {128, 6, 128}, {256, 8, 256}, {512, 4, 512}};

struct LinearShape {
  const char* network;
  int layers;
  int64_t in, out;
};

inline constexpr LinearShape linear_shapes[] = {
    {"resnet8", 1, 64, 10},       {"mobilenet_v1", 1, 256, 2}, {"ds_cnn", 1, 64, 12},      {"autoencoder", 1, 640, 128},
    {"autoencoder", 6, 128, 128}, {"autoencoder", 1, 128, 8},  {"autoencoder", 1, 8, 128}, {"autoencoder", 1, 128, 640},
};

/// The buffers of one layer; each gradient has the size of its tensor.
struct LayerCase {
  LayerCase(int64_t x_size, int64_t w_size, int64_t c_out, int64_t y_size)
      : x(normal(x_size)),
        w(normal(w_size)),
        bias(filled(c_out)),
        y(normal(y_size)),
        gx(filled(x_size)),
        gw(filled(w_size)),
        gbias(filled(c_out)) {}
  explicit LayerCase(const k::Conv2dSize& s)
      : LayerCase(s.n * s.h * s.w * s.c_in, s.c_out * s.kh * s.kw * (s.c_in / s.groups), s.c_out,
                  s.n * s.oh * s.ow * s.c_out) {}
  explicit LayerCase(const LinearShape& s) : LayerCase(images * s.in, s.in * s.out, s.out, images * s.out) {}

  Floats x, w, bias, y, gx, gw, gbias;
};

}  // namespace mixgrad::layers
