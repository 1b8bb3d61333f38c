// SPDX-License-Identifier: Apache-2.0
// Runs integer networks on this machine: codes in bytes, sums in 32 bits.
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>

#include <kernels/requantize.h>
#include <src/internal/run_context.h>

#include <algorithm>

namespace mixgrad {

namespace {

integer::Prepared prepare(const IntegerNetwork& network, const IntegerNode& node, int64_t batch, bool packs) {
  integer::Prepared out;
  std::visit(
      [&](const auto& o) {
        if constexpr (requires { o.rescaling(); })
          out.requantization = std::make_unique<const kernels::Requantization>(
              node.channels(), o.rescaling().bias, o.rescaling().ratios, node.low, node.high);
      },
      node.op);
  if (const integer::Layer* layer = node.layer(); layer != nullptr && packs) {
    Conv2dSize size = layer->size;
    size.n = batch;
    out.packed =
        kernels::PackedConv2dInt8::make(size, network.input_of(node).is_signed(), layer->weights, *out.requantization);
  }
  return out;
}

}  // namespace

struct IntegerEngine::Impl {
  IntegerNetwork network;
  int64_t batch;
  std::vector<integer::Prepared> prepared = {};  // by node
  std::vector<int64_t> offsets = {};             // of every node's codes in a run's memory; -1: none there
  int64_t bytes = 0;                             // of that memory

  /// Codes of outputs, which are in no arena, follow it.
  void plan() {
    const Arena arena = plan_arena(network, false);
    offsets = arena.offsets;
    bytes = arena.bytes;
    for (size_t i = 1; i < offsets.size(); ++i) {
      if (offsets[i] >= 0 || network.nodes[i].raw) continue;
      offsets[i] = bytes;
      bytes += network.nodes[i].shape.size();
    }
  }

  size_t size(size_t i) const { return static_cast<size_t>(batch * network.nodes[i].shape.size()); }

  integer::RunContext context(size_t i, std::span<const std::span<const uint8_t>> values) const {
    return {.network = network, .node = network.nodes[i], .batch = batch, .values = values, .prepared = prepared[i]};
  }

  /// An unquantized output.
  std::vector<int32_t> raw_output(const integer::RunContext& c, size_t size) const {
    std::vector<int32_t> out(size);
    std::visit(
        [&](const auto& o) {
          if constexpr (requires { o.rescaling(); }) {
            o.sums(c, out);
            rescale(c.node, o.rescaling(), out);
          } else {
            failed_run("'{}' computes no sums in 32 bits", c.node.name);
          }
        },
        c.node.op);
    return out;
  }

  static void rescale(const IntegerNode& node, const integer::Rescaling& r, std::span<int32_t> sums) {
    for (size_t k = 0; k < sums.size(); ++k) {
      const size_t c = k % static_cast<size_t>(node.channels());
      const int64_t sum = int64_t{sums[k]} + (r.bias.empty() ? 0 : r.bias[c]);
      const int64_t value = r.ratios[r.ratios.size() == 1 ? 0 : c].apply(sum);
      sums[k] = static_cast<int32_t>(std::clamp<int64_t>(value, node.low, node.high));
    }
  }

  /// Those of every image, one after the other.
  std::vector<int32_t> outputs(const std::vector<std::vector<int32_t>>& values) const {
    std::vector<int32_t> out;
    for (int64_t n = 0; n < batch; ++n) {
      for (const IntegerOutput& o : network.outputs) {
        const int64_t size = network.node_of(o).shape.size();
        const auto from = values[static_cast<size_t>(o.node)].begin() + n * size;
        out.insert(out.end(), from, from + size);
      }
    }
    return out;
  }

  std::vector<int32_t> widened(size_t i, std::span<const uint8_t> codes) const {
    std::vector<int32_t> out(codes.size());
    std::ranges::transform(codes, out.begin(), [&](uint8_t code) { return integer::read(network.nodes[i], code); });
    return out;
  }
};

IntegerEngine::IntegerEngine(const IntegerNetwork& network, int64_t batch, Kernels kernels) {
  auto impl = std::make_unique<Impl>(Impl{.network = network, .batch = batch});
  for (const IntegerNode& node : network.nodes)
    impl->prepared.push_back(prepare(network, node, batch, kernels == Kernels::fastest));
  impl->plan();
  impl_ = std::move(impl);
}

IntegerEngine::~IntegerEngine() = default;

std::vector<int32_t> IntegerEngine::run(std::span<const uint8_t> codes,
                                        std::vector<std::vector<int32_t>>* values) const {
  const std::vector<IntegerNode>& nodes = impl_->network.nodes;
  if (codes.size() != impl_->size(0))
    bad_input("integer network: {} input codes, expected {}", codes.size(), impl_->size(0));
  const auto memory = std::make_unique_for_overwrite<uint8_t[]>(static_cast<size_t>(impl_->bytes * impl_->batch));
  std::vector<std::span<const uint8_t>> kept(nodes.size());
  kept[0] = codes;
  std::vector<std::vector<int32_t>> wide(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    const integer::RunContext c = impl_->context(i, kept);
    if (nodes[i].raw) {
      wide[i] = impl_->raw_output(c, impl_->size(i));
      continue;
    }
    if (i > 0) {
      const integer::Codes out(memory.get() + impl_->offsets[i] * impl_->batch, impl_->size(i));
      std::visit([&](const auto& o) { o.codes(c, out); }, nodes[i].op);
      kept[i] = out;
    }
    if (values != nullptr || impl_->network.returns(static_cast<int>(i))) wide[i] = impl_->widened(i, kept[i]);
  }
  std::vector<int32_t> result = impl_->outputs(wide);
  if (values != nullptr) *values = std::move(wide);
  return result;
}

}  // namespace mixgrad
