// SPDX-License-Identifier: Apache-2.0
// What a device must hold: packed weights, and one block of memory in which activations take turns.
#include <mixgrad/deploy.h>

#include <algorithm>
#include <numeric>

namespace mixgrad {
namespace {

/// A stretch of memory that is taken from one node's turn to another's, both included.
struct Lifetime {
  int64_t bytes;
  size_t first, last;
  int64_t offset = -1;

  bool meets(const Lifetime& other) const { return first <= other.last && other.first <= last; }
};

/// Largest first, each at the lowest place that is free all its life.
int64_t place(std::vector<Lifetime>& lifetimes) {
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](size_t i) { return lifetimes[i].bytes; });
  int64_t total = 0;
  std::vector<const Lifetime*> placed;  // by offset
  for (const size_t i : order) {
    Lifetime& life = lifetimes[i];
    int64_t at = 0;
    for (const Lifetime* other : placed) {
      if (other->meets(life) && other->offset < at + life.bytes) at = std::max(at, other->offset + other->bytes);
    }
    life.offset = at;
    total = std::max(total, at + life.bytes);
    placed.insert(std::ranges::upper_bound(placed, at, {}, &Lifetime::offset), &life);
  }
  return total;
}

constexpr int64_t word = 4;
int64_t whole_words(int64_t bytes) { return (bytes + word - 1) / word * word; }

}  // namespace

int64_t patch_codes(const IntegerNode& layer) {
  constexpr int64_t codes_per_word = 16;  // of the narrowest weights
  return (layer.weights_per_channel() + codes_per_word - 1) / codes_per_word * codes_per_word;
}

Arena plan_arena(const IntegerNetwork& network) {
  const size_t count = network.nodes.size();
  std::vector<size_t> last(count);
  for (size_t i = 0; i < count; ++i) {
    last[i] = i;
    for (const int n : network.nodes[i].inputs) last[static_cast<size_t>(n)] = i;
  }
  std::vector<Lifetime> lifetimes;
  std::vector<int64_t> of(count, -1);  // each node's lifetime; none: the caller's
  std::vector<std::pair<size_t, size_t>> patches;
  for (size_t i = 1; i < count; ++i) {
    const IntegerNode& node = network.nodes[i];
    if (node.is_layer()) {
      patches.emplace_back(i, lifetimes.size());
      lifetimes.push_back({.bytes = whole_words(2 * patch_codes(node)), .first = i, .last = i});
    }
    if (static_cast<int>(i) == network.output) continue;
    const auto dies = [&](int n) { return last[static_cast<size_t>(n)] == i && of[static_cast<size_t>(n)] >= 0; };
    const auto operand = std::ranges::find_if(node.inputs, dies);
    if ((node.op == "add" || node.op == "relu") && operand != node.inputs.end()) {
      of[i] = of[static_cast<size_t>(*operand)];  // element by element over an operand that nobody else needs
      lifetimes[static_cast<size_t>(of[i])].last = last[i];
    } else {
      of[i] = std::ssize(lifetimes);
      lifetimes.push_back({.bytes = whole_words(node.shape.size()), .first = i, .last = last[i]});
    }
  }
  Arena arena{.offsets = std::vector<int64_t>(count, -1), .patches = std::vector<int64_t>(count, -1)};
  arena.bytes = place(lifetimes);
  for (size_t i = 0; i < count; ++i) {
    if (of[i] >= 0) arena.offsets[i] = lifetimes[static_cast<size_t>(of[i])].offset;
  }
  for (const auto& [node, lifetime] : patches) arena.patches[node] = lifetimes[lifetime].offset;
  return arena;
}

std::vector<ChannelRun> channel_runs(const IntegerNode& layer) {
  std::vector<ChannelRun> runs;
  for (const int bits : layer.weight_bits) {
    const int width = storage_bits(bits);
    if (runs.empty() || runs.back().bits != width) runs.push_back({.bits = width, .channels = 0});
    ++runs.back().channels;
  }
  return runs;
}

std::vector<uint32_t> pack_weights(const IntegerNode& layer) {
  std::vector<uint32_t> words;
  const int64_t columns = layer.weights_per_channel();
  for (int64_t o = 0; o < layer.channels(); ++o) {
    const int bits = storage_bits(layer.weight_bits[static_cast<size_t>(o)]), per_word = 32 / bits;
    const uint32_t mask = (1U << bits) - 1;
    for (int64_t k = 0; k < columns; ++k) {
      if (k % per_word == 0) words.push_back(0);
      const auto code = static_cast<uint32_t>(layer.weights[static_cast<size_t>(o * columns + k)]) & mask;
      words.back() |= code << (static_cast<int>(k % per_word) * bits);
    }
  }
  return words;
}

DeviceBytes device_bytes(const IntegerNetwork& network) {
  DeviceBytes bytes{.arena = plan_arena(network).bytes};
  for (const IntegerNode& node : network.nodes) {
    if (node.is_layer()) bytes.weights += 4 * std::ssize(pack_weights(node));
    bytes.biases += 4 * std::ssize(node.bias);
    bytes.multipliers += 4 * std::ssize(node.ratios);
    bytes.shifts += std::ssize(node.ratios);
  }
  return bytes;
}

}  // namespace mixgrad
