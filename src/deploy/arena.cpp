// SPDX-License-Identifier: Apache-2.0
// Memory on the device: packed weights, and one block shared by the activations.
#include <mixgrad/deploy.h>

#include <src/internal/memory_plan.h>

#include <algorithm>

namespace mixgrad {
namespace {

int64_t whole(int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; }

}  // namespace

int64_t patch_codes(const integer::Layer& layer) {
  return whole(layer.weights_per_channel(), device::patch_step(std::ranges::count(layer.weight_bits, 1) > 0));
}

Arena plan_arena(const IntegerNetwork& network) {
  std::vector<device::Step> steps;
  for (const IntegerNode& node : network.nodes) {
    steps.push_back({.inputs = node.inputs,
                     .elementwise = node.in_place(),
                     .bytes = whole(node.shape.size(), device::word_bytes),
                     .patch = node.is_layer() ? device::patch_code_bytes * patch_codes(*node.layer()) : 0});
  }
  std::vector<int> outputs;
  for (const IntegerOutput& o : network.outputs) outputs.push_back(o.node);
  const device::Plan plan = device::plan_memory(steps, outputs);
  Arena arena{.offsets = {}, .patches = {}, .bytes = plan.bytes};
  const auto offset = [&](int block) { return block < 0 ? -1 : plan.blocks[static_cast<size_t>(block)].offset; };
  for (const int block : plan.tensors) arena.offsets.push_back(offset(block));
  for (const int block : plan.patches) arena.patches.push_back(offset(block));
  return arena;
}

std::vector<ChannelRun> channel_runs(const integer::Layer& layer) {
  std::vector<ChannelRun> runs;
  for (const int bits : layer.weight_bits) {
    const int width = storage_bits(bits);
    if (runs.empty() || runs.back().bits != width) runs.push_back({.bits = width, .channels = 0});
    ++runs.back().channels;
  }
  return runs;
}

std::vector<uint32_t> pack_weights(const integer::Layer& layer) {
  std::vector<uint32_t> words;
  const int64_t columns = layer.weights_per_channel();
  for (int64_t o = 0; o < layer.size.c_out; ++o) {
    const int bits = storage_bits(layer.weight_bits[static_cast<size_t>(o)]), per_word = 32 / bits;
    const uint32_t mask = (1U << bits) - 1;
    for (int64_t k = 0; k < columns; ++k) {
      if (k % per_word == 0) words.push_back(0);
      const auto code = layer.weights[static_cast<size_t>(o * columns + k)];
      const auto stored = static_cast<int8_t>(layer.is_odd(o) ? (code - 1) / 2 : code);
      words.back() |= (static_cast<uint32_t>(stored) & mask) << (static_cast<int>(k % per_word) * bits);
    }
  }
  return words;
}

DeviceBytes device_bytes(const IntegerNetwork& network) {
  DeviceBytes bytes{.arena = plan_arena(network).bytes};
  for (const IntegerNode& node : network.nodes) std::visit([&](const auto& o) { o.count(bytes); }, node.op);
  return bytes;
}

}  // namespace mixgrad
