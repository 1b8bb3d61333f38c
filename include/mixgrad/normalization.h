// SPDX-License-Identifier: Apache-2.0
// What a network wants its input to be: values as they are read, or shifted and scaled by channel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mixgrad {

/// Channel c of an image is (v - mean[c]) / std[c], where v is the value as it is read (a byte's is byte / 255). Both
/// are empty where the network takes v itself, otherwise they hold one finite number per channel, std's not 0.
struct Normalization {
  std::vector<float> mean, std;

  bool empty() const { return mean.empty(); }
  bool operator==(const Normalization&) const = default;
};

/// Numbers from low to high.
struct ValueRange {
  float low, high;
};

/// What an image of bytes can hold, in any channel: 0 to 1, normalized.
ValueRange range_of_bytes(const Normalization& normalization);

/// "MEAN/STD", each one number or one per channel, like "0.5/0.25" or "0.49,0.48,0.45/0.25,0.24,0.26"; or "imagenet" or
/// "cifar10", whose numbers are widely used; "" for none. Throws bad_input for any other text.
Normalization parse_normalization(const std::string& text, int64_t channels);
/// The same back as text, to the last bit.
std::string to_string(const Normalization& normalization);
/// One normalization that does what `first` and then `second` do.
Normalization composed(const Normalization& first, const Normalization& second);

}  // namespace mixgrad
