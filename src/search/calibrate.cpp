// SPDX-License-Identifier: Apache-2.0
// Initial clips from what the float network does (SPEC §3).
#include "clip_rule.h"

#include <mixgrad/search.h>

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace mixgrad {
namespace {

constexpr float default_clip = 6;
constexpr float least_learned_clip = 1e-2F;  // an optimizer's steps, near 1e-3, would only shake a smaller one
constexpr ValueRange default_input_range = {.low = 0, .high = 1};
constexpr int64_t images_at_once = 8;  // every node's values are kept while they run

/// Values seen in the float network.
struct Seen {
  std::map<const ActivationSlot*, Histogram> by_slot;  ///< of every quantized tensor, ReLU included
  std::map<int, Histogram> joined;                     ///< of the nodes that a Concat reads
};

/// Runs the float network (slots left aside) and counts values; those of `joined` by themselves too.
Seen observe(const Graph& graph, const std::vector<Tensor>& batches, const std::set<int>& joined) {
  Seen seen;
  for (const int n : joined) seen.joined[n];
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
        const ActivationSlot* slot = graph.nodes[i].output_slot.get();
        if (slot != nullptr) seen.by_slot[slot].add(values[i].data());
      }
      for (auto& [node, histogram] : seen.joined) histogram.add(values[static_cast<size_t>(node)].data());
    }
  }
  return seen;
}

/// The nodes that a Concat reads.
std::set<int> joined_nodes(const Graph& graph) {
  std::set<int> joined;
  for (const Node& node : graph.nodes) {
    if (node.as<op::Concat>()) joined.insert(node.inputs.begin(), node.inputs.end());
  }
  return joined;
}

/// An input whose values are known to lie in `range`: at one precision there is nothing to learn.
void cover(ActivationSlot& slot, ValueRange range) {
  slot.is_signed = range.low < 0 && !slot.quantizer->never_signed;
  const float clip = slot.is_signed ? std::max(range.high, -range.low) : range.high;
  slot.clip = Tensor::full({std::ssize(slot.precisions)}, clip > 0 ? clip : default_clip);
  slot.learn_clip = slot.precisions.size() > 1;
}

/// Clips for the values that were seen.
void fit_clips(ActivationSlot& slot, const Sizes& sizes, const ClipRule& rule) {
  slot.clip = Tensor::full({std::ssize(slot.precisions)}, default_clip);
  for (size_t p = 0; p < slot.precisions.size(); ++p) {
    if (!sizes.values.empty()) slot.clip.data()[p] = chosen_clip(rule, slot, p, sizes);
  }
  slot.learn_clip = std::ranges::min(slot.clip.data()) >= least_learned_clip;
}

/// The nodes whose outputs a slot quantizes.
std::string holders(const Graph& graph, const ActivationSlot& slot) {
  std::string names;
  for (const Node& node : graph.nodes) {
    if (node.output_slot.get() == &slot) names += (names.empty() ? "'" : ", '") + node.name + "'";
  }
  return names;
}

std::string percent(double share) { return fmt::format("{:.{}f}%", 100 * share, share < 0.1 ? 2 : 0); }

/// What would let a tensor's values take more codes.
const char* help_with_codes(const MixPrecOptions& options, bool covered) {
  if (covered) return "images of more contrast, or given as floats, would take more";
  if (!options.clips.percentile) return "values of one scale would take more";
  return "--calibration mse or a smaller percentile would take more";
}

/// What to tell of a tensor that its largest candidate's clip fits badly; empty where it fits.
std::string misfit(const Graph& graph, const ActivationSlot& slot, const Sizes& sizes, const MixPrecOptions& options,
                   bool covered) {
  constexpr double much_saturated = 0.01, much_lost = 0.1;
  constexpr int few_codes = 4;
  if (sizes.values.empty()) return "";
  const size_t p = slot.precisions.size() - 1;
  const float clip = slot.clip.data()[p];
  const int codes = static_cast<int>(slot.largest_code(p)) + 1;
  const Fit found = fit(slot, p, clip, sizes);
  if (found.saturated > much_saturated || found.lost > much_lost) {
    return fmt::format(
        "{}: {} of the values (zeros aside) lie above the clip of {:.3g} and saturate, which cuts off {} of "
        "their energy: {} would keep more",
        holders(graph, slot), percent(found.saturated), clip, percent(found.lost),
        !options.clips.percentile ? "more bits or --calibration max" : "--calibration max or mse");
  }
  if (found.codes < found.values && found.codes < static_cast<size_t>(std::min(few_codes, codes / 2))) {
    return fmt::format(
        "{}: the values on the calibration images take {} of {} codes at {} bits and a clip of {:.3g}: {}",
        holders(graph, slot), found.codes, codes, slot.precisions[p], clip, help_with_codes(options, covered));
  }
  return "";
}

/// What to tell of a Concat whose inputs would have very different clips by themselves; empty where they fit.
std::string mismatch(const Graph& graph, const Node& concat, std::map<int, Histogram>& seen, const ClipRule& rule) {
  constexpr float most_ratio = 8;
  const ActivationSlot* slot = graph.slot_of(concat.inputs[0]);
  if (slot == nullptr) return "";
  const size_t p = slot->precisions.size() - 1;
  std::vector<std::pair<float, std::string>> clips;
  for (const int n : concat.inputs) {
    const Sizes sizes = seen[n].sizes(slot->is_signed);
    if (!sizes.values.empty())
      clips.emplace_back(chosen_clip(rule, *slot, p, sizes), graph.nodes[static_cast<size_t>(n)].name);
  }
  if (clips.empty()) return "";
  const auto [least, largest] = std::ranges::minmax(clips);
  if (largest.first <= most_ratio * least.first) return "";
  return fmt::format(
      "'{}' joins tensors that share one quantizer, but by themselves '{}' would have a clip of {:.3g} and '{}' one of "
      "{:.3g}: the smaller values take few codes; values of one scale would take more",
      concat.name, least.second, least.first, largest.second, largest.first);
}

}  // namespace

void calibrate(Graph& graph, const MixPrecOptions& options) {
  Seen seen = observe(graph, options.calibration, options.on_note ? joined_nodes(graph) : std::set<int>());
  std::optional<ValueRange> range = options.input_range;
  if (!range && options.calibration.empty()) range = default_input_range;
  const auto& input = graph.nodes[0].output_slot;
  for (const auto& slot : graph.activation_slots()) {
    const Histogram& values = seen.by_slot[slot.get()];
    const bool covered = range && slot == input && std::ranges::count(graph.nodes, input, &Node::output_slot) == 1;
    if (values.smallest() < 0 && !slot->quantizer->never_signed) slot->is_signed = true;
    const Sizes sizes = values.sizes(slot->is_signed);
    covered ? cover(*slot, *range) : fit_clips(*slot, sizes, options.clips);
    slot->clip.requires_grad(slot->learn_clip);
    const std::string text = misfit(graph, *slot, sizes, options, covered);
    if (options.on_note && !text.empty()) options.on_note(text);
  }
  for (const Node& node : graph.nodes) {
    if (!options.on_note || !node.as<op::Concat>()) continue;
    const std::string text = mismatch(graph, node, seen.joined, options.clips);
    if (!text.empty()) options.on_note(text);
  }
}

}  // namespace mixgrad
