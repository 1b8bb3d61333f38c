// SPDX-License-Identifier: Apache-2.0
#include "quantizers.h"

#include <mixgrad/error.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>

namespace mixgrad::quant {
namespace {

template <typename Quantizer>
using Shared = std::shared_ptr<const Quantizer>;

template <typename Quantizer>
std::vector<Shared<Quantizer>> shared(const std::vector<Quantizer>& all) {
  std::vector<Shared<Quantizer>> out;
  for (const Quantizer& q : all) out.push_back(std::make_shared<const Quantizer>(q));
  return out;
}

const std::vector<Shared<ActivationQuantizer>>& of_activations() {
  static const auto all = shared(activation_quantizers());
  return all;
}

const std::vector<Shared<WeightQuantizer>>& of_weights() {
  static const auto all = shared(weight_quantizers());
  return all;
}

template <typename Quantizer>
std::vector<std::string> names_of(const std::vector<Shared<Quantizer>>& all) {
  std::vector<std::string> out;
  for (const auto& q : all) out.push_back(q->name);
  return out;
}

template <typename Quantizer>
Shared<Quantizer> find(const std::vector<Shared<Quantizer>>& all, const char* what, const std::string& name) {
  const auto found = std::ranges::find_if(all, [&](const auto& q) { return q->name == name; });
  if (found != all.end()) return *found;
  bad_input("unknown quantizer of {} '{}': expected {}", what, name, fmt::join(names_of(all), ", "));
}

}  // namespace

std::shared_ptr<const ActivationQuantizer> find_activation(const std::string& name) {
  return find(of_activations(), "activations", name);
}

std::shared_ptr<const WeightQuantizer> find_weight(const std::string& name) {
  return find(of_weights(), "weights", name);
}

std::vector<std::string> activation_names() { return names_of(of_activations()); }
std::vector<std::string> weight_names() { return names_of(of_weights()); }

int bits_of(CodeRange range) {
  return static_cast<int>(std::bit_width(static_cast<unsigned>((range.high - range.low) / range.stride)));
}

}  // namespace mixgrad::quant
