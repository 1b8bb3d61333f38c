// SPDX-License-Identifier: Apache-2.0
#include "clip_rule.h"

#include <mixgrad/error.h>

#include <charconv>
#include <cmath>
#include <set>
#include <string_view>

namespace mixgrad {
namespace {

float percentile(const Sizes& sizes, double percent) {
  const auto wanted = static_cast<int64_t>(std::ceil(percent / 100 * static_cast<double>(sizes.total())));
  int64_t seen = 0;
  for (size_t i = 0; i < sizes.values.size(); ++i) {
    seen += sizes.counts[i];
    if (seen >= wanted) return sizes.values[i];
  }
  return sizes.values.back();
}

std::vector<float> codes_of(const ActivationSlot& slot, size_t p, float clip, std::span<const float> x) {
  std::vector<float> codes(x.size());
  slot.quantizer->codes(clip, slot.range(p), x, codes);
  return codes;
}

/// Σ (x - x̂)²
double squared_error(const ActivationSlot& slot, size_t p, float clip, const Sizes& sizes) {
  const float step = slot.quantizer->step(clip, slot.range(p));
  const std::vector<float> codes = codes_of(slot, p, clip, sizes.values);
  double total = 0;
  for (size_t i = 0; i < codes.size(); ++i) {
    const auto off = static_cast<double>(sizes.values[i] - codes[i] * step);
    total += static_cast<double>(sizes.counts[i]) * off * off;
  }
  return total;
}

/// Σ (x - clip)² of the values above.
double squared_excess(float clip, const Sizes& sizes) {
  double total = 0;
  for (size_t i = sizes.values.size(); i-- > 0 && sizes.values[i] > clip;) {
    const auto off = static_cast<double>(sizes.values[i] - clip);
    total += static_cast<double>(sizes.counts[i]) * off * off;
  }
  return total;
}

/// From the largest value down in steps of 1/16 octave, until what lies above alone makes more error than the best.
float clip_of_least_error(const ActivationSlot& slot, size_t p, const Sizes& sizes) {
  const float largest = sizes.values.back();
  float best = largest;
  double least = squared_error(slot, p, largest, sizes);
  for (int k = 1;; ++k) {
    const auto clip = static_cast<float>(static_cast<double>(largest) * std::exp2(-k / 16.0));
    if (clip < sizes.values.front() || squared_excess(clip, sizes) >= least) return best;
    const double error = squared_error(slot, p, clip, sizes);
    if (error < least) least = error, best = clip;
  }
}

}  // namespace

ClipRule parse_clip_rule(const std::string& text) {
  constexpr std::string_view prefix = "percentile=";
  if (text == "max") return {.percentile = 100};
  if (text == "mse") return {};
  double percent = 0;
  const char* end = text.data() + text.size();
  if (text.starts_with(prefix)) {
    const auto [next, error] = std::from_chars(text.data() + prefix.size(), end, percent);
    if (error != std::errc() || next != end) percent = 0;
  }
  if (!(percent > 50 && percent <= 100)) {
    bad_input("calibration: '{}' is not possible: expected max, mse or percentile=N with N above 50, up to 100", text);
  }
  return {.percentile = percent};
}

float chosen_clip(const ClipRule& rule, const ActivationSlot& slot, size_t p, const Sizes& sizes) {
  return rule.percentile ? percentile(sizes, *rule.percentile) : clip_of_least_error(slot, p, sizes);
}

Fit fit(const ActivationSlot& slot, size_t p, float clip, const Sizes& sizes) {
  int64_t above = 0;
  double energy = 0;
  for (size_t i = 0; i < sizes.values.size(); ++i) {
    const auto v = static_cast<double>(sizes.values[i]);
    energy += static_cast<double>(sizes.counts[i]) * v * v;
    if (sizes.values[i] > clip) above += sizes.counts[i];
  }
  const std::vector<float> codes = codes_of(slot, p, clip, sizes.values);
  std::set<float> used(codes.begin(), codes.end());
  used.insert(0);
  return {.saturated = static_cast<double>(above) / static_cast<double>(sizes.total()),
          .lost = squared_excess(clip, sizes) / energy,
          .codes = used.size(),
          .values = sizes.values.size() + 1};
}

}  // namespace mixgrad
