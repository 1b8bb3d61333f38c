// SPDX-License-Identifier: Apache-2.0
// Normalization of a network's input, per channel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mixgrad {

/// Channel c of the input is (v - mean[c]) / std[c], where v is the value read (byte / 255 for a byte). Either both are
/// empty (no normalization), or they hold one finite number per channel, std nonzero.
struct Normalization {
  std::vector<float> mean, std;

  bool empty() const { return mean.empty(); }
  bool operator==(const Normalization&) const = default;
};

/// Numbers from low to high.
struct ValueRange {
  float low, high;
};

/// The range of bytes, 0 to 1, after normalization, over all channels.
ValueRange range_of_bytes(const Normalization& normalization);

/// Parses "LOW..HIGH" ("0..255", "-1..1"), the range that values from 0 to 1 are scaled to; "" for none. Throws
/// bad_input for any other text.
Normalization parse_input_scale(const std::string& text, int64_t channels);
/// Parses "MEAN/STD", each one number or one per channel ("0.5/0.25", "0.49,0.48,0.45/0.25,0.24,0.26"), or the common
/// presets "imagenet" and "cifar10"; "" for none. Throws bad_input for any other text.
Normalization parse_normalization(const std::string& text, int64_t channels);
/// The inverse of parse_normalization, exact to the last bit.
std::string to_string(const Normalization& normalization);
/// The normalization that applies `first`, then `second`.
Normalization composed(const Normalization& first, const Normalization& second);

}  // namespace mixgrad
