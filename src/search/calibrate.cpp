// SPDX-License-Identifier: Apache-2.0
// Initial clips from what the float network does (SPEC §3).
#include <mixgrad/error.h>
#include <mixgrad/search.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace mixgrad {
namespace {

constexpr float default_clip = 6, default_input_clip = 1;
constexpr int64_t images_at_once = 8;  // every node's values are kept while they run

/// Distribution of |x| in one slot's tensors, as a histogram over [0, largest]: a percentile is exact to largest / bins.
struct Histogram {
  static constexpr size_t bins = 1 << 16;
  float largest = 0, smallest = 0;
  std::vector<int64_t> counts = std::vector<int64_t>(bins, 0);
  int64_t total = 0;

  void range(std::span<const float> x) {
    for (float v : x) {
      if (!std::isfinite(v)) bad_input("calibration: the float network's activations are not finite");
      largest = std::max(largest, std::abs(v));
      smallest = std::min(smallest, v);
    }
  }

  void count(std::span<const float> x) {
    if (largest == 0) return;
    const double scale = static_cast<double>(bins) / largest;
    for (float v : x) ++counts[std::min(bins - 1, static_cast<size_t>(std::abs(v) * scale))];
    total += std::ssize(x);
  }

  float percentile(double percent) const {
    if (percent >= 100) return largest;
    const auto wanted = static_cast<int64_t>(std::ceil(percent / 100 * static_cast<double>(total)));
    int64_t seen = 0;
    for (size_t b = 0; b < bins; ++b) {
      seen += counts[b];
      if (seen >= wanted) return largest * static_cast<float>(b + 1) / static_cast<float>(bins);
    }
    return largest;
  }
};

using Histograms = std::map<ActivationSlot*, Histogram>;

/// Runs the float network (slots left aside) and hands every quantized tensor, ReLU included, to `visit`.
template <typename Visit>
void observe(const Graph& graph, const std::vector<Tensor>& batches, Histograms& histograms, const Visit& visit) {
  Graph plain = graph;
  for (Node& node : plain.nodes) {
    node.weight_slot = nullptr;
    node.output_slot = nullptr;
  }
  const Binding binding = plain.bind();
  for (const Tensor& x : batches) {
    for (int64_t begin = 0; begin < x.dim(0); begin += images_at_once) {
      std::vector<Tensor> values;
      plain.run(binding, x.rows(begin, std::min(images_at_once, x.dim(0) - begin)), &values);
      for (size_t i = 0; i < graph.nodes.size(); ++i) {
        ActivationSlot* slot = graph.nodes[i].output_slot.get();
        if (slot != nullptr) visit(histograms[slot], std::span<const float>(values[i].data()));
      }
    }
  }
}

}  // namespace

void calibrate(Graph& graph, const MixPrecOptions& options) {
  Histograms histograms;
  if (!options.calibration.empty()) {
    observe(graph, options.calibration, histograms, [](Histogram& h, std::span<const float> x) { h.range(x); });
    observe(graph, options.calibration, histograms, [](Histogram& h, std::span<const float> x) { h.count(x); });
  }
  for (const auto& slot : graph.activation_slots()) {
    const auto holders = std::ranges::count(graph.nodes, slot, &Node::output_slot);
    const bool is_input = slot == graph.nodes[0].output_slot && holders == 1;
    float clip = is_input ? default_input_clip : default_clip;
    bool unit_input = is_input;
    if (const auto found = histograms.find(slot.get()); found != histograms.end()) {
      const Histogram& h = found->second;
      if (is_input && h.smallest < 0 && !(slot->quantizer && slot->quantizer->never_signed)) slot->is_signed = true;
      unit_input = is_input && h.smallest >= 0 && h.largest <= 1;
      if (!unit_input && h.largest > 0) clip = h.percentile(options.calibration_percentile);
    }
    slot->learn_clip = !(unit_input && slot->precisions.size() == 1);
    slot->clip = Tensor::full({std::ssize(slot->precisions)}, clip).requires_grad(slot->learn_clip);
  }
}

}  // namespace mixgrad
