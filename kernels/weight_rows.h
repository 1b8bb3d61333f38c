// SPDX-License-Identifier: Apache-2.0
// What the kernels for weights share: a row (one output channel) goes block by block through the first-level cache,
// once per candidate.
#pragma once

#include <span>

#include "kernels/parallel.h"
#include "kernels/quantize.h"

namespace mixgrad::kernels {

inline constexpr int64_t weight_block = 512;

/// Where to find θ_p, and Σ_p θ_p over the candidates that keep the channel.
struct Theta {
  const float* data;
  int64_t channels;
  bool per_channel;

  float at(size_t p, int64_t c) const {
    const auto row = static_cast<int64_t>(p);
    return data[per_channel ? row * channels + c : row];
  }
  float kept(std::span<const int> bits, int64_t c) const {
    float total = 0;
    for (size_t p = 0; p < bits.size(); ++p) total += bits[p] > 0 ? at(p, c) : 0.0f;
    return total;
  }
};

/// Calls `row(channel, offset of its weights)`, some 16,000 weights to a task.
template <typename Row>
void for_each_row(const WeightSize& s, const Row& row) {
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, s.per_channel));
  parallel_chunks(s.channels, grain, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) row(c, c * s.per_channel);
  });
}

/// Puts sums [P, channels] into the gradient of θ: [P, channels] or, summed over the channels, [P].
inline void put_theta(const WeightSize& s, size_t candidates, bool per_channel, const double* sums, Grad gtheta) {
  for (int64_t p = 0; gtheta && p < static_cast<int64_t>(candidates); ++p) {
    double total = 0;
    for (int64_t c = 0; c < s.channels; ++c) {
      if (per_channel) gtheta.put(p * s.channels + c, static_cast<float>(sums[p * s.channels + c]));
      total += sums[p * s.channels + c];
    }
    if (!per_channel) gtheta.put(p, static_cast<float>(total));
  }
}

}  // namespace mixgrad::kernels
