// SPDX-License-Identifier: Apache-2.0
// Memory on the device: packed weights, and one block shared by the activations.
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>

#include <src/internal/memory_plan.h>

#include <algorithm>
#include <span>

namespace mixgrad {
namespace {

int64_t whole(int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; }

}  // namespace

int64_t patch_positions(const integer::Layer& layer) {
  const bool is_dense = !layer.transposed && layer.size.groups == 1;
  return device::patch_positions(is_dense, layer.size.oh * layer.size.ow);
}

int64_t patch_bytes(const integer::Layer& layer) {
  const Conv2dSize& s = layer.size;
  if (runs_depthwise(layer))
    return device::depthwise_bytes(s.kh * s.kw, (s.kh - 1) * s.dilation_h + 1,
                                   (s.ow - 1) * s.stride_w + (s.kw - 1) * s.dilation_w + 1);
  const int64_t step = device::patch_step(std::ranges::count(layer.weight_bits, 1) > 0);
  return device::patch_code_bytes * patch_positions(layer) * whole(layer.weights_per_channel(), step);
}

int stored_bits(const IntegerNetwork& network, int i) {
  const bool is_inner = i != 0 && !network.returns(i);
  return network.packs_activations && is_inner ? storage_bits(network.nodes[static_cast<size_t>(i)].bits) : 8;
}

bool shares_bytes(const IntegerNetwork& network) {
  for (int i = 0; i < std::ssize(network.nodes); ++i) {
    if (stored_bits(network, i) < 8) return true;
  }
  return false;
}

LayerScratch scratch_of(const IntegerNetwork& network, int i) {
  const IntegerNode& node = network.nodes[static_cast<size_t>(i)];
  const integer::Layer& layer = *node.layer();
  const int64_t row = layer.size.kw * (layer.size.c_in / layer.size.groups);
  const bool unpacks = stored_bits(network, node.inputs[0]) < 8 && !runs_depthwise(layer);
  const bool packs = stored_bits(network, i) < 8;
  return {.patch = patch_bytes(layer),
          .unpacked = unpacks ? whole(row + device::spare_codes, device::word_bytes) : 0,
          .results = packs ? whole(patch_positions(layer) * layer.size.c_out, device::word_bytes) : 0};
}

namespace {

device::Gap gap_of(const IntegerNode& node, const IntegerNode& input, double input_bits, double output_bits) {
  const auto schedule = node.is_layer() ? device::schedule(runs_depthwise(*node.layer()), node.layer()->size.groups)
                                        : device::Schedule::singly;
  const auto sweep = std::visit(
      [&]<typename Op>(const Op& o) -> op::Sweep {
        if constexpr (Op::overlap == op::Overlap::in_order) return o.sweep(input.shape);
        failed_run("'{}' does not read positions in order", node.name);
      },
      node.op);
  return device::gap_of(sweep, schedule, static_cast<double>(input.channels()) * input_bits / 8,
                        static_cast<double>(node.channels()) * output_bits / 8);
}

/// Bytes in whole words of so many bits.
int64_t bytes_of(int64_t bits) { return whole((bits + 7) / 8, device::word_bytes); }

/// On a device.
device::Step step_of(const IntegerNetwork& network, int i) {
  const IntegerNode& node = network.nodes[static_cast<size_t>(i)];
  const int bits = stored_bits(network, i);
  device::Step step{.inputs = node.inputs,
                    .overlap = node.overlap(),
                    .bits = bits,
                    .bytes = bytes_of(bits * node.shape.size()),
                    .patch = node.is_layer() ? scratch_of(network, i).bytes() : 0};
  if (step.overlap != op::Overlap::in_order) return step;
  const IntegerNode& input = network.input_of(node);
  const int input_bits = stored_bits(network, node.inputs[0]);
  const device::Gap gap = gap_of(node, input, input_bits, bits);
  const int64_t gap_bits = gap.written * node.channels() * bits - gap.unread * input.channels() * input_bits;
  step.gap = bytes_of(std::max<int64_t>(0, gap_bits));
  step.at_start = gap.at_start;
  return step;
}

/// In the engine, which runs whole operators at a time and keeps codes in bytes.
device::Step whole_step_of(const IntegerNode& node) {
  const bool in_place = node.overlap() == op::Overlap::in_place;
  return {.inputs = node.inputs,
          .overlap = in_place ? op::Overlap::in_place : op::Overlap::none,
          .bytes = bytes_of(8 * node.shape.size())};
}

}  // namespace

Arena plan_arena(const IntegerNetwork& network, bool on_device) {
  std::vector<device::Step> steps;
  for (int i = 0; i < std::ssize(network.nodes); ++i)
    steps.push_back(on_device ? step_of(network, i) : whole_step_of(network.nodes[static_cast<size_t>(i)]));
  std::vector<int> outputs;
  for (const IntegerOutput& o : network.outputs) outputs.push_back(o.node);
  const device::Plan plan = device::plan_memory(steps, outputs);
  Arena arena{.offsets = {}, .patches = {}, .bytes = plan.bytes};
  const auto offset = [&](int block) { return block < 0 ? -1 : plan.blocks[static_cast<size_t>(block)].offset; };
  for (const int block : plan.tensors) arena.offsets.push_back(offset(block));
  for (const int block : plan.patches) arena.patches.push_back(offset(block));
  for (const device::Block& b : plan.blocks)
    arena.blocks.push_back({.node = b.step,
                            .scratch = b.patch,
                            .first = b.first,
                            .last = b.last,
                            .offset = b.offset,
                            .bytes = b.bytes,
                            .at_peak = 0});
  for (const device::Part& part : plan.peak) {
    const device::Block& b = plan.blocks[static_cast<size_t>(part.block)];
    arena.blocks[static_cast<size_t>(part.block)].at_peak +=
        part.gap ? steps[static_cast<size_t>(b.step)].gap : b.bytes;
  }
  return arena;
}

bool runs_depthwise(const integer::Layer& layer) {
  return !layer.transposed && layer.channels() == op::Channels::depthwise &&
         layer.size.c_out >= device::depthwise_channels;
}

std::vector<ChannelBlock> channel_blocks(const integer::Layer& layer) {
  std::vector<ChannelBlock> blocks;
  const int64_t per_group = layer.size.c_out / layer.size.groups;
  const auto bits = [&](int64_t o) { return storage_bits(layer.weight_bits[static_cast<size_t>(o)]); };
  for (int64_t o = 0; o < layer.size.c_out; o += blocks.back().channels) {
    const int64_t next = o + 1;
    const bool pair = !runs_depthwise(layer) && next % per_group != 0 && bits(next) == bits(o) &&
                      layer.is_odd(next) == layer.is_odd(o);
    blocks.push_back({.first = o, .channels = pair ? 2 : 1, .bits = bits(o)});
  }
  return blocks;
}

namespace {

/// The field of a word that stores a channel's weight of tap k; beyond the last, that of 0.
uint32_t field(const integer::Layer& layer, int64_t channel, int64_t k, int bits, bool from_0) {
  const int64_t taps = layer.weights_per_channel();
  const int code = k < taps ? layer.weights[static_cast<size_t>(channel * taps + k)] : layer.is_odd(channel) ? 1 : 0;
  const int stored = (layer.is_odd(channel) ? (code - 1) / 2 : code) + (from_0 ? 1 << (bits - 1) : 0);
  return static_cast<uint32_t>(stored) & ((1U << bits) - 1);
}

void pack_in_order(const integer::Layer& layer, const ChannelBlock& b, std::span<uint32_t> words) {
  for (int64_t k = 0; k < layer.weights_per_channel(); ++k) {
    const int64_t at = k * b.bits;
    words[static_cast<size_t>(at / 32)] |= field(layer, b.first, k, b.bits, false) << (at % 32);
  }
}

void pack_in_pairs(const integer::Layer& layer, const ChannelBlock& b, std::span<uint32_t> words) {
  const int64_t pairs = std::ssize(words) * (16 / b.bits);
  for (int64_t i = 0; i < pairs; ++i) {
    const int64_t channel = b.first + i % b.channels, pair = i / b.channels, tap = pair / 2 * 4 + pair % 2;
    const auto at = [&](int64_t k) { return field(layer, channel, k, b.bits, b.bits < 8); };
    words[static_cast<size_t>(i * b.bits / 16)] |= (at(tap) | at(tap + 2) << 16) << (i * b.bits % 16);
  }
}

}  // namespace

std::vector<uint32_t> pack_weights(const integer::Layer& layer) {
  std::vector<uint32_t> words;
  for (const ChannelBlock& b : channel_blocks(layer)) {
    const auto begin = words.size(),
               count = static_cast<size_t>(b.channels * whole(layer.weights_per_channel() * b.bits, 32) / 32);
    words.resize(begin + count);
    (runs_depthwise(layer) ? pack_in_order : pack_in_pairs)(layer, b, std::span(words).subspan(begin, count));
  }
  return words;
}

DeviceBytes device_bytes(const IntegerNetwork& network) {
  DeviceBytes bytes{.arena = plan_arena(network).bytes};
  for (const IntegerNode& node : network.nodes) std::visit([&](const auto& o) { o.count(bytes); }, node.op);
  return bytes;
}

}  // namespace mixgrad
