// SPDX-License-Identifier: Apache-2.0
// Resizes drawn pictures to the input size of a network.
#include "resize.h"

#include <mixgrad/data.h>
#include <mixgrad/error.h>

#include <kernels/parallel.h>

#include <numeric>

namespace mixgrad::data {
namespace {

constexpr int64_t feature_row = 32;  // a network on features gets a grey picture of this width, row by row

/// Channel c of one pixel, or the mean of its channels if grey.
float value(const uint8_t* pixel, int64_t channels, int64_t c, bool grey) {
  if (!grey) return pixel[c];
  return static_cast<float>(std::accumulate(pixel, pixel + channels, 0)) / static_cast<float>(channels);
}

uint8_t sampled(const Dataset& set, const uint8_t* image, const Taps& y, const Taps& x, int64_t c, bool grey) {
  return to_byte(weighted(y, x, [&](int64_t row, int64_t column) {
    return value(image + (row * set.width + column) * set.channels, set.channels, c, grey);
  }));
}

Dataset resized(const Dataset& set, int64_t channels, int64_t height, int64_t width) {
  if (set.image_shape() == Shape{channels, height, width}) return set;
  Dataset out{set.name, channels, height, width, {}, set.labels, set.class_names};
  out.pixels.resize(static_cast<size_t>(set.size() * out.image_values()));
  const std::vector<Taps> ys = taps(set.height, 0, static_cast<double>(set.height), height),
                          xs = taps(set.width, 0, static_cast<double>(set.width), width);
  kernels::parallel_chunks(set.size(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const uint8_t* image = set.pixels.data() + i * set.image_values();
      uint8_t* to = out.pixels.data() + i * out.image_values();
      for (const Taps& y : ys) {
        for (const Taps& x : xs) {
          for (int64_t c = 0; c < channels; ++c) *to++ = sampled(set, image, y, x, c, channels != set.channels);
        }
      }
    }
  });
  return out;
}

Dataset resized(const Dataset& set, const Shape& shape) {
  if (shape[0] == 1 || shape[0] == 3) return resized(set, shape[0], shape[1], shape[2]);
  Dataset flat = resized(set, 1, shape[0] / feature_row, feature_row);
  flat.channels = shape[0];
  flat.height = flat.width = 1;
  return flat;
}

}  // namespace

std::vector<Taps> taps(int64_t from, double begin, double length, int64_t to) {
  const double ratio = length / static_cast<double>(to), reach = std::max(ratio, 1.0);
  std::vector<Taps> out;
  for (int64_t t = 0; t < to; ++t) {
    const double centre = begin + (static_cast<double>(t) + 0.5) * ratio - 0.5;
    const auto first = std::max<int64_t>(0, static_cast<int64_t>(std::floor(centre - reach)) + 1);
    const auto end = std::min<int64_t>(from, static_cast<int64_t>(std::ceil(centre + reach)));
    Taps& one = out.emplace_back(Taps{first, {}});
    for (int64_t s = first; s < end; ++s)
      one.weights.push_back(static_cast<float>(1 - std::abs(static_cast<double>(s) - centre) / reach));
    const float total = std::accumulate(one.weights.begin(), one.weights.end(), 0.0F);
    for (float& w : one.weights) w /= total;
  }
  return out;
}

Splits resized(Splits splits, const Shape& shape) {
  const bool picture = shape.rank() == 3 && (shape[0] == 1 || shape[0] == 3);
  const bool features = shape.rank() == 3 && shape[0] % feature_row == 0 && shape[1] == 1 && shape[2] == 1;
  if (!picture && !features)
    bad_input(
        "data: '{}' can't be drawn at {}: expected [1 or 3, H, W] or [a multiple of {}, 1, 1]; use a data set of "
        "this shape",
        splits.train.name, shape.str(), feature_row);
  for (Dataset* set : {&splits.train, &splits.validation, &splits.test}) *set = resized(*set, shape);
  return splits;
}

}  // namespace mixgrad::data
