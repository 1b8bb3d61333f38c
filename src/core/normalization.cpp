// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/normalization.h>

#include <src/internal/suggest.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

namespace mixgrad {
namespace {

/// Statistics of the training images, as in torchvision's documentation and most CIFAR-10 recipes.
const std::map<std::string, std::string> known = {
    {"imagenet", "0.485,0.456,0.406/0.229,0.224,0.225"},
    {"cifar10", "0.4914,0.4822,0.4465/0.247,0.2435,0.2616"},
};

[[noreturn]] void refuse(const std::string& text, int64_t channels) {
  bad_input(
      "normalize: invalid value '{}': expected MEAN/STD, each one number or {} (one per channel), with nonzero STD, "
      "such as 0.5/0.25; "
      "or, for images of 3 channels, imagenet or cifar10{}",
      text, channels, did_you_mean(nearest(text, {"imagenet", "cifar10"})));
}

/// Comma-separated numbers; empty if the list is malformed.
std::vector<float> numbers(const std::string& list) {
  std::vector<float> out;
  for (const char *at = list.data(), *end = at + list.size();;) {
    const auto [next, error] = std::from_chars(at, end, out.emplace_back());
    if (error != std::errc() || !std::isfinite(out.back())) return {};
    if (next == end) return out;
    if (*next != ',') return {};
    at = next + 1;
  }
}

std::vector<float> per_channel(std::vector<float> values, int64_t channels) {
  if (values.size() == 1) values.resize(static_cast<size_t>(channels), values[0]);
  return values;
}

}  // namespace

ValueRange range_of_bytes(const Normalization& n) {
  if (n.empty()) return {.low = 0, .high = 1};
  constexpr float none = std::numeric_limits<float>::infinity();
  ValueRange out{.low = none, .high = -none};
  for (size_t c = 0; c < n.mean.size(); ++c) {
    for (const float v : {0.0F, 1.0F}) {
      const float end = (v - n.mean[c]) / n.std[c];
      out = {.low = std::min(out.low, end), .high = std::max(out.high, end)};
    }
  }
  return out;
}

Normalization parse_input_scale(const std::string& text, int64_t channels) {
  if (text.empty()) return {};
  const size_t dots = text.find("..");
  std::vector<float> ends;
  if (dots != std::string::npos) {
    for (const std::string& end : {text.substr(0, dots), text.substr(dots + 2)}) {
      const std::vector<float> parsed = numbers(end);
      if (parsed.size() == 1) ends.push_back(parsed[0]);
    }
  }
  const float span = ends.size() == 2 ? ends[1] - ends[0] : 0;
  if (!(span > 0) || !std::isfinite(span)) {
    bad_input("input-scale: invalid value '{}': expected LOW..HIGH, such as 0..255, 0..1 or -1..1", text);
  }
  return {.mean = per_channel({(0 - ends[0]) / span}, channels), .std = per_channel({1 / span}, channels)};
}

Normalization parse_normalization(const std::string& text, int64_t channels) {
  if (text.empty()) return {};
  const auto found = known.find(text);
  const std::string& form = found == known.end() ? text : found->second;
  const size_t slash = form.find('/');
  if (slash == std::string::npos) refuse(text, channels);
  Normalization out{.mean = per_channel(numbers(form.substr(0, slash)), channels),
                    .std = per_channel(numbers(form.substr(slash + 1)), channels)};
  const auto wanted = static_cast<size_t>(channels);
  if (out.mean.size() != wanted || out.std.size() != wanted) refuse(text, channels);
  for (const float s : out.std) {
    if (s == 0) refuse(text, channels);
  }
  return out;
}

std::string to_string(const Normalization& n) {
  return n.empty() ? "" : fmt::format("{}/{}", fmt::join(n.mean, ","), fmt::join(n.std, ","));
}

Normalization composed(const Normalization& first, const Normalization& second) {
  if (first.empty()) return second;
  if (second.empty()) return first;
  // ((v - m1) / s1 - m2) / s2 = (v - (m1 + s1 m2)) / (s1 s2)
  Normalization out = first;
  for (size_t c = 0; c < out.mean.size(); ++c) {
    out.mean[c] += first.std[c] * second.mean[c];
    out.std[c] *= second.std[c];
  }
  return out;
}

}  // namespace mixgrad
