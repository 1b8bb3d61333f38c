// SPDX-License-Identifier: Apache-2.0
#include "page_data.h"

#include <mixgrad/ops.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace mixgrad::report {
namespace {

using nlohmann::ordered_json;

constexpr int bins = 61;  // odd: zero is in the middle of a bin

/// All channels of a layer at one bit-width. Divided by their own scales, they share one grid.
struct Grid {
  Grid() : counts(bins) {}
  explicit Grid(CodeRange range)
      : counts(bins),
        at_level(static_cast<size_t>((range.high - range.low) / range.stride) + 1),
        lowest_code(static_cast<int>(range.low)),
        code_stride(static_cast<int>(range.stride)) {}

  /// `end`: the largest weight in the histogram.
  void add(std::span<const float> weights, float end) {
    for (const float w : weights) {
      const float place = (w / end + 1) / 2 * bins;
      ++counts[static_cast<size_t>(std::clamp(place, 0.0F, bins - 1.0F))];
      power += static_cast<double>(w) * w;
    }
    total += std::ssize(weights);
    ++channels;
  }
  void add_codes(std::span<const float> weights, std::span<const float> codes, float step) {
    for (size_t i = 0; i < weights.size(); ++i) {
      ++at_level[static_cast<size_t>((static_cast<int>(codes[i]) - lowest_code) / code_stride)];
      const double error = static_cast<double>(codes[i]) * step - weights[i];
      error_power += error * error;
    }
    steps.push_back(step);
  }

  std::vector<int64_t> counts, at_level;
  int lowest_code = 0, code_stride = 1;
  int64_t channels = 0, total = 0;
  double power = 0, error_power = 0;
  std::vector<float> steps;
};

/// `bits` = 32: floats, which have no levels.
ordered_json to_json(int bits, const Grid& g) {
  ordered_json out = {{"bits", bits}, {"channels", g.channels}, {"weights", g.total}, {"counts", g.counts}};
  if (g.steps.empty()) return out;
  const auto [least, most] = std::ranges::minmax(g.steps);
  out["step"] = {least, most};
  out["error"] = g.power > 0 ? std::sqrt(g.error_power / g.power) : 0;
  out["lowest_code"] = g.lowest_code;
  out["code_stride"] = g.code_stride;
  out["at_level"] = g.at_level;
  return out;
}

float largest(std::span<const float> weights) {
  float out = 0;
  for (const float w : weights) out = std::max(out, std::abs(w));
  return out;
}

ordered_json grids(const Graph& network, const Node& node) {
  const WeightSlot* slot = node.weight_slot.get();
  const Tensor w = node.weight().detach();
  const auto channels = static_cast<size_t>(w.dim(0)), row = static_cast<size_t>(w.size()) / channels;
  Tensor codes, steps;
  if (slot != nullptr) {
    const Tensor scales = network.coded_scales(node).detach();
    codes = quantize_weight(w, scales, slot->bits, *slot->quantizer);
    steps = weight_steps(scales, slot->bits, *slot->quantizer);
  }
  std::map<int, Grid> by_bits;
  for (size_t c = 0; c < channels; ++c) {
    const int bits = slot != nullptr ? slot->bits[c] : 0;
    const auto weights = w.data().subspan(c * row, row);
    float end = largest(weights);
    Grid* grid = nullptr;
    if (bits > 0) {
      const CodeRange range = slot->quantizer->range(bits);
      grid = &by_bits.try_emplace(bits, range).first->second;
      grid->add_codes(weights, codes.data().subspan(c * row, row), steps.data()[c]);
      end = steps.data()[c] * (range.high - range.low) / 2;
    } else {
      grid = &by_bits[0];
    }
    grid->add(weights, end > 0 ? end : 1);
  }
  ordered_json out = ordered_json::array();
  for (const auto& [bits, grid] : by_bits) out.push_back(to_json(slot != nullptr ? bits : 32, grid));
  return out;
}

/// The first node whose output has the same quantizer: the history of a search lists its α under that name.
std::string output_name(const Graph& network, const Node& node) {
  return node.output_slot ? std::ranges::find(network.nodes, node.output_slot, &Node::output_slot)->name : node.name;
}

}  // namespace

ordered_json histograms(const Graph& network) {
  ordered_json out = ordered_json::array();
  for (const Node& node : network.nodes) {
    if (!node.is_layer()) continue;
    out.push_back({{"name", node.name}, {"output", output_name(network, node)}, {"grids", grids(network, node)}});
  }
  return out;
}

}  // namespace mixgrad::report
