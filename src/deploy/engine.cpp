// SPDX-License-Identifier: Apache-2.0
// Runs integer networks on this machine: codes in bytes, sums in 32 bits.
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>

#include <kernels/requantize.h>
#include <src/internal/run_context.h>

#include <algorithm>

namespace mixgrad {

using integer::Codes;

struct IntegerEngine::Impl {
  IntegerNetwork network;
  int64_t batch;
  std::vector<std::unique_ptr<const kernels::PackedConv2dInt8>> packed;  // by node; null: use the reference kernel

  integer::RunContext context(size_t i, const std::vector<Codes>& values) const {
    return {.network = network, .node = network.nodes[i], .batch = batch, .values = values, .packed = packed[i].get()};
  }

  Codes codes(size_t i, const std::vector<Codes>& values) const {
    const integer::RunContext c = context(i, values);
    return std::visit(
        [&](const auto& o) {
          if constexpr (requires { o.sums(c); }) {
            return requantized(c.node, o.rescaling(), o.sums(c));
          } else {
            return o.codes(c);
          }
        },
        c.node.op);
  }

  static Codes requantized(const IntegerNode& node, const integer::Rescaling& r, const std::vector<int32_t>& acc) {
    Codes out(acc.size());
    kernels::requantize(std::ssize(acc) / node.channels(), node.channels(), acc, r.bias, r.ratios, node.low, node.high,
                        out);
    return out;
  }

  /// An unquantized output.
  std::vector<int32_t> raw_output(size_t i, const std::vector<Codes>& values) const {
    const integer::RunContext c = context(i, values);
    return std::visit(
        [&](const auto& o) -> std::vector<int32_t> {
          if constexpr (requires { o.sums(c); }) return raw(c.node, o.rescaling(), o.sums(c));
          failed_run("'{}' computes no sums in 32 bits", c.node.name);
        },
        c.node.op);
  }

  static std::vector<int32_t> raw(const IntegerNode& node, const integer::Rescaling& r, std::vector<int32_t> acc) {
    for (size_t k = 0; k < acc.size(); ++k) {
      const size_t c = k % static_cast<size_t>(node.channels());
      const int64_t sum = int64_t{acc[k]} + (r.bias.empty() ? 0 : r.bias[c]);
      const int64_t value = r.ratios[r.ratios.size() == 1 ? 0 : c].apply(sum);
      acc[k] = static_cast<int32_t>(std::clamp<int64_t>(value, node.low, node.high));
    }
    return acc;
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

  std::vector<int32_t> widened(size_t i, const Codes& codes) const {
    std::vector<int32_t> out;
    for (const uint8_t code : codes) out.push_back(integer::read(network.nodes[i], code));
    return out;
  }
};

IntegerEngine::IntegerEngine(const IntegerNetwork& network, int64_t batch, Kernels kernels) {
  auto impl = std::make_unique<Impl>(Impl{.network = network, .batch = batch, .packed = {}});
  for (const IntegerNode& node : network.nodes) {
    impl->packed.emplace_back();
    const integer::Layer* layer = node.layer();
    if (layer == nullptr || kernels != Kernels::fastest) continue;
    Conv2dSize size = layer->size;
    size.n = batch;
    impl->packed.back() = kernels::PackedConv2dInt8::make(size, network.input_of(node).is_signed(), layer->weights);
  }
  impl_ = std::move(impl);
}

IntegerEngine::~IntegerEngine() = default;

std::vector<int32_t> IntegerEngine::run(std::span<const uint8_t> codes,
                                        std::vector<std::vector<int32_t>>* values) const {
  const std::vector<IntegerNode>& nodes = impl_->network.nodes;
  const auto expected = static_cast<size_t>(impl_->batch * nodes[0].shape.size());
  if (codes.size() != expected) bad_input("integer network: {} input codes, expected {}", codes.size(), expected);
  std::vector<Codes> kept(nodes.size());
  kept[0].assign(codes.begin(), codes.end());
  std::vector<std::vector<int32_t>> wide(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].raw) {
      wide[i] = impl_->raw_output(i, kept);
      continue;
    }
    if (i > 0) kept[i] = impl_->codes(i, kept);
    if (values != nullptr || impl_->network.returns(static_cast<int>(i))) wide[i] = impl_->widened(i, kept[i]);
  }
  std::vector<int32_t> result = impl_->outputs(wide);
  if (values != nullptr) *values = std::move(wide);
  return result;
}

}  // namespace mixgrad
