// SPDX-License-Identifier: Apache-2.0
#include <src/internal/memory_plan.h>

#include <algorithm>
#include <numeric>
#include <span>

namespace mixgrad::device {
namespace {

/// The blocks for tensors and patches and their lifetimes, before they have offsets.
void list_blocks(Plan& plan, const std::vector<Step>& steps, const std::vector<int>& outputs) {
  const auto index = [](int i) { return static_cast<size_t>(i); };
  const std::vector<int> last = last_reads(steps.size(), [&](size_t i) { return std::span(steps[i].inputs); });
  for (int i = 1; i < std::ssize(steps); ++i) {
    const Step& step = steps[index(i)];
    if (step.patch > 0) {
      plan.patches[index(i)] = static_cast<int>(plan.blocks.size());
      plan.blocks.push_back({.bytes = step.patch, .step = i, .patch = true, .first = i, .last = i});
    }
    if (std::ranges::find(outputs, i) != outputs.end()) continue;
    const auto dies = [&](int n) {
      const int block = plan.tensors[index(n)];
      return last[index(n)] == i && block >= 0 && plan.blocks[index(block)].bytes == step.bytes;
    };
    const auto operand = std::ranges::find_if(step.inputs, dies);
    if (step.elementwise && operand != step.inputs.end()) {
      plan.tensors[index(i)] = plan.tensors[index(*operand)];
      plan.blocks[index(plan.tensors[index(i)])].last = last[index(i)];
    } else {
      plan.tensors[index(i)] = static_cast<int>(plan.blocks.size());
      plan.blocks.push_back({.bytes = step.bytes, .step = i, .patch = false, .first = i, .last = last[index(i)]});
    }
  }
}

/// Places blocks largest first, each at the lowest offset that is free for its whole lifetime. Returns the block that
/// ends highest; -1: none.
int place(std::vector<Block>& blocks) {
  std::vector<int> order(blocks.size());
  std::iota(order.begin(), order.end(), 0);
  const auto block = [&](int i) -> Block& { return blocks[static_cast<size_t>(i)]; };
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](int i) { return block(i).bytes; });
  const auto end = [&](int i) { return i < 0 ? 0 : block(i).offset + block(i).bytes; };
  int top = -1;
  std::vector<int> placed;  // sorted by offset
  for (const int i : order) {
    Block& b = block(i);
    for (const int other : placed) {
      const bool in_the_way = block(other).meets(b) && block(other).offset < end(b.below) + b.bytes;
      if (in_the_way && end(other) > end(b.below)) b.below = other;
    }
    b.offset = end(b.below);
    if (end(i) > end(top)) top = i;
    placed.insert(std::ranges::upper_bound(placed, b.offset, {}, [&](int k) { return block(k).offset; }), i);
  }
  return top;
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
  const std::vector<int> none(steps.size(), -1);
  Plan plan{.blocks = {}, .tensors = none, .patches = none, .peak = {}};
  list_blocks(plan, steps, outputs);
  for (int i = place(plan.blocks); i >= 0; i = plan.blocks[static_cast<size_t>(i)].below) {
    plan.bytes += plan.blocks[static_cast<size_t>(i)].bytes;
    plan.peak.insert(plan.peak.begin(), i);
  }
  return plan;
}

}  // namespace mixgrad::device
