// SPDX-License-Identifier: Apache-2.0
// What a network wants its input to be: values as they are read, or shifted and scaled by channel.
#pragma once

#include <vector>

namespace mixgrad {

/// Channel c of an image is (v - mean[c]) / std[c], where v is the value as it is read (a byte's is byte / 255). Both are
/// empty where the network takes v itself, otherwise they hold one finite number per channel, std's not 0.
struct Normalization {
  std::vector<float> mean, std;

  bool empty() const { return mean.empty(); }
  bool operator==(const Normalization&) const = default;
};

}  // namespace mixgrad
