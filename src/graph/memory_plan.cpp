// SPDX-License-Identifier: Apache-2.0
#include <src/internal/memory_plan.h>

#include <algorithm>
#include <numeric>
#include <span>

namespace mixgrad::device {
namespace {

/// Blocks for tensors and patches and their lifetimes, before they have offsets. `run_in`: outputs may run into inputs.
class Blocks {
 public:
  Blocks(const std::vector<Step>& steps, const std::vector<int>& outputs, bool run_in)
      : steps_(steps), last_(last_reads(steps.size(), [&](size_t i) { return std::span(steps[i].inputs); })) {
    const std::vector<int> none(steps.size(), -1);
    plan_.tensors = plan_.patches = none;
    for (int i = 1; i < std::ssize(steps); ++i) {
      add_patch(i);
      if (std::ranges::find(outputs, i) == outputs.end()) add_tensor(i, run_in);
    }
  }
  const Plan& plan() const { return plan_; }

 private:
  void add_patch(int i) {
    if (step(i).patch == 0) return;
    plan_.patches[static_cast<size_t>(i)] = static_cast<int>(plan_.blocks.size());
    plan_.blocks.push_back({.bytes = step(i).patch, .step = i, .patch = true, .first = i, .last = i});
  }

  void add_tensor(int i, bool run_in) {
    const Step& s = step(i);
    const auto operand = std::ranges::find_if(s.inputs, [&](int n) {
      return dies(n, i) && step(n).bits == s.bits && plan_.blocks[static_cast<size_t>(tensor(n))].bytes == s.bytes;
    });
    if (s.overlap == op::Overlap::in_place && operand != s.inputs.end()) {
      tensor(i) = tensor(*operand);
      plan_.blocks[static_cast<size_t>(tensor(i))].last = last_[static_cast<size_t>(i)];
      return;
    }
    tensor(i) = static_cast<int>(plan_.blocks.size());
    plan_.blocks.push_back(
        {.bytes = s.bytes, .step = i, .patch = false, .first = i, .last = last_[static_cast<size_t>(i)]});
    if (!run_in || s.overlap != op::Overlap::in_order || s.gap >= s.bytes || !dies(s.inputs[0], i)) return;
    if (s.at_start && step(s.inputs[0]).bits != s.bits) return;
    Block& block = plan_.blocks.back();
    block.into = tensor(s.inputs[0]);
    block.gap = s.gap;
    block.at_start = s.at_start;
  }

  /// Whether tensor n is in this memory, and step i is the last to read it.
  bool dies(int n, int i) { return last_[static_cast<size_t>(n)] == i && tensor(n) >= 0; }
  const Step& step(int i) const { return steps_[static_cast<size_t>(i)]; }
  int& tensor(int i) { return plan_.tensors[static_cast<size_t>(i)]; }

  const std::vector<Step>& steps_;
  std::vector<int> last_;
  Plan plan_{.blocks = {}, .tensors = {}, .patches = {}, .peak = {}};
};

/// Offsets that a block must not have, from one to another, both exclusive; at `to` it stands on `below`.
struct Barrier {
  int64_t from, to;
  int below;
  bool on_gap;
};

/// What block `i` must not overlap of the placed ones, from the lowest up.
std::vector<Barrier> barriers(const std::vector<Block>& blocks, const std::vector<int>& placed, int i) {
  const Block& b = blocks[static_cast<size_t>(i)];
  std::vector<Barrier> out;
  for (const int k : placed) {
    const Block& other = blocks[static_cast<size_t>(k)];
    if (!other.meets(b)) continue;
    const bool runs_into = b.into == k, is_run_into = other.into == i;
    const int64_t from = other.offset - b.bytes, to = other.offset + other.bytes;
    if (!runs_into && !is_run_into) {
      out.push_back({from, to, k, false});
    } else if (runs_into ? b.at_start : other.at_start) {
      out.push_back({from, other.offset, other.below, other.on_gap});
      out.push_back({other.offset, to, k, false});
    } else if (runs_into) {
      out.push_back({other.offset - b.gap, to, k, false});
    } else {
      out.push_back({from, other.offset + other.gap, k, true});
    }
  }
  std::ranges::stable_sort(out, {}, &Barrier::from);
  return out;
}

/// Places blocks in an order, each at the lowest offset that is free for its whole lifetime.
Plan placed(Plan plan, const std::vector<int>& order) {
  const auto block = [&](int i) -> Block& { return plan.blocks[static_cast<size_t>(i)]; };
  int top = -1;
  std::vector<int> done;
  for (const int i : order) {
    Block& b = block(i);
    b.offset = 0;
    for (const Barrier& barrier : barriers(plan.blocks, done, i)) {
      if (barrier.from >= b.offset || barrier.to <= b.offset) continue;
      b.offset = barrier.to;
      b.below = barrier.below;
      b.on_gap = barrier.on_gap;
    }
    done.push_back(i);
    if (b.offset + b.bytes > plan.bytes) {
      plan.bytes = b.offset + b.bytes;
      top = i;
    }
  }
  bool gap = false;
  for (int i = top; i >= 0; gap = block(i).on_gap, i = block(i).below) plan.peak.insert(plan.peak.begin(), {i, gap});
  return plan;
}

/// Places the largest blocks first and, of equal ones, the latest, on which the earlier ones can stand with a gap. Then
/// moves blocks of the peak to the front as long as that lowers it.
Plan well_placed(const Plan& blocks) {
  std::vector<int> order(blocks.blocks.size());
  std::iota(order.rbegin(), order.rend(), 0);
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [&](int i) { return blocks.blocks[static_cast<size_t>(i)].bytes; });
  Plan best = placed(blocks, order);
  for (size_t tried = 0; tried < best.peak.size();) {
    std::vector<int> other = order;
    const auto at = std::ranges::find(other, best.peak[tried++].block);
    std::rotate(other.begin(), at, at + 1);
    Plan plan = placed(blocks, other);
    if (plan.bytes >= best.bytes) continue;
    best = std::move(plan);
    order = std::move(other);
    tried = 0;
  }
  return best;
}

}  // namespace

std::vector<std::vector<int>> readers_of(const Graph& graph) {
  const std::vector<bool> needed = needed_nodes(graph);
  std::vector<std::vector<int>> out(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!needed[i]) continue;
    for (const int n : graph.nodes[i].inputs) out[static_cast<size_t>(n)].push_back(static_cast<int>(i));
  }
  return out;
}

bool vanishes(const Graph& graph, const std::vector<std::vector<int>>& readers, int i) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  if (!node.as<op::Flatten>()) return false;
  const Shape& shape = graph.nodes[static_cast<size_t>(node.inputs[0])].shape;
  if (shape.size() == shape[0]) return true;
  const auto is_linear = [&](int r) { return graph.nodes[static_cast<size_t>(r)].as<op::Linear>() != nullptr; };
  return graph.output != i && std::ranges::all_of(readers[static_cast<size_t>(i)], is_linear);
}

op::ConstantBytes constant_bytes(const Operator& op) {
  return std::visit([](const auto& o) -> op::ConstantBytes { return o.constant_bytes; }, op);
}

Plan plan_memory(const std::vector<Step>& steps, const std::vector<int>& outputs) {
  Plan apart = well_placed(Blocks(steps, outputs, false).plan());
  Plan overlapping = well_placed(Blocks(steps, outputs, true).plan());
  return overlapping.bytes < apart.bytes ? std::move(overlapping) : std::move(apart);
}

}  // namespace mixgrad::device
