// SPDX-License-Identifier: Apache-2.0
// Integer networks on this machine: bytes in, bytes between, 32-bit sums.
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>

#include <kernels/conv2d_int8.h>

#include <algorithm>
#include <cmath>

namespace mixgrad {
namespace {

using Codes = std::vector<uint8_t>;

int read(const IntegerNode& node, uint8_t code) { return node.is_signed() ? static_cast<int8_t>(code) : code; }

}  // namespace

struct IntegerEngine::Impl {
  IntegerNetwork network;
  int64_t batch;
  std::vector<kernels::Conv2dSize> sizes;                                // of layers, for the batch
  std::vector<std::unique_ptr<const kernels::PackedConv2dInt8>> packed;  // of layers; null: the reference runs

  const IntegerNode& input(const IntegerNode& node, size_t i = 0) const {
    return network.nodes[static_cast<size_t>(node.inputs[i])];
  }

  std::vector<int32_t> sums(size_t i, const Codes& x) const {
    const IntegerNode& node = network.nodes[i];
    std::vector<int32_t> acc(static_cast<size_t>(batch * node.shape.size()));
    if (packed[i]) {
      (*packed[i])(x, acc);
    } else {
      kernels::reference::conv2d_int8(sizes[i], input(node).is_signed(), x, node.weights, acc);
    }
    return acc;
  }

  std::vector<int32_t> added(const IntegerNode& node, const Codes& a, const Codes& b) const {
    std::vector<int32_t> acc(a.size());
    for (size_t k = 0; k < acc.size(); ++k) acc[k] = read(input(node, 0), a[k]) + read(input(node, 1), b[k]);
    return acc;
  }

  std::vector<int32_t> accumulators(size_t i, const std::vector<Codes>& values) const {
    const IntegerNode& node = network.nodes[i];
    const auto value = [&](size_t k) -> const Codes& { return values[static_cast<size_t>(node.inputs[k])]; };
    return node.op == "add" ? added(node, value(0), value(1)) : sums(i, value(0));
  }

  Codes requantized(const IntegerNode& node, const std::vector<int32_t>& acc) const {
    Codes out(acc.size());
    kernels::requantize(std::ssize(acc) / node.channels(), node.channels(), acc, node.bias, node.ratios, node.low,
                        node.high, out);
    return out;
  }

  /// Calls tap(code) for every element of one window of channel c that lies inside the image.
  template <typename Tap>
  static void for_each_tap(const kernels::Pool2dSize& s, const uint8_t* image, int64_t oy, int64_t ox, int64_t c,
                           const Tap& tap) {
    for (int64_t ky = 0; ky < s.kh; ++ky) {
      for (int64_t kx = 0; kx < s.kw; ++kx) {
        const int64_t iy = oy * s.stride_h + ky - s.pad_top, ix = ox * s.stride_w + kx - s.pad_left;
        if (iy >= 0 && iy < s.h && ix >= 0 && ix < s.w) tap(image[(iy * s.w + ix) * s.c + c]);
      }
    }
  }

  Codes pooled(const IntegerNode& node, const Codes& x) const {
    const IntegerNode& before = input(node);
    const kernels::Pool2dSize& s = node.pool;
    const bool average = node.op == "avg_pool2d";
    Codes out;
    out.reserve(static_cast<size_t>(batch * node.shape.size()));
    for (int64_t i = 0; i < batch * s.oh * s.ow; ++i) {
      const uint8_t* image = x.data() + i / (s.oh * s.ow) * s.h * s.w * s.c;
      const double n = static_cast<double>(kernels::pool2d_count(s, i / s.ow % s.oh, i % s.ow));
      for (int64_t c = 0; c < s.c; ++c) {
        int sum = 0, largest = before.low;
        for_each_tap(s, image, i / s.ow % s.oh, i % s.ow, c, [&](uint8_t code) {
          sum += read(before, code);
          largest = std::max(largest, read(before, code));
        });
        const int mean = static_cast<int>(std::floor((2.0 * sum + n) / (2.0 * n)));  // halves up (SPEC §5)
        out.push_back(static_cast<uint8_t>(average ? mean : largest));
      }
    }
    return out;
  }

  Codes rectified(const IntegerNode& node, const Codes& x) const {
    Codes out(x.size());
    for (size_t k = 0; k < x.size(); ++k)
      out[k] = static_cast<uint8_t>(std::clamp(read(input(node), x[k]), 0, node.high));
    return out;
  }

  /// [H, W, C] of every image to [C, H, W].
  Codes flattened(const IntegerNode& node, const Codes& x) const {
    const int64_t size = node.shape.size(), channels = input(node).channels(), positions = size / channels;
    Codes out;
    out.reserve(x.size());
    for (int64_t n = 0; n < batch; ++n) {
      for (int64_t k = 0; k < size; ++k)
        out.push_back(x[static_cast<size_t>(n * size + k % positions * channels + k / positions)]);
    }
    return out;
  }

  Codes codes(size_t i, const std::vector<Codes>& values) const {
    const IntegerNode& node = network.nodes[i];
    const Codes& x = values[static_cast<size_t>(node.inputs[0])];
    if (node.op == "flatten") return flattened(node, x);
    if (node.op == "relu") return rectified(node, x);
    if (node.op == "max_pool2d" || node.op == "avg_pool2d") return pooled(node, x);
    return requantized(node, accumulators(i, values));
  }

  /// The result's 32 bits, of which some need more than a byte.
  std::vector<int32_t> result(size_t i, const std::vector<Codes>& values) const {
    const IntegerNode& node = network.nodes[i];
    if (!node.raw) return widened(i, codes(i, values));
    std::vector<int32_t> acc = accumulators(i, values);
    for (size_t k = 0; k < acc.size(); ++k) {
      const size_t c = k % static_cast<size_t>(node.channels());
      const int64_t sum = int64_t{acc[k]} + (node.bias.empty() ? 0 : node.bias[c]);
      const int64_t value = node.ratios[node.ratios.size() == 1 ? 0 : c].apply(sum);
      acc[k] = static_cast<int32_t>(std::clamp<int64_t>(value, node.low, node.high));
    }
    return acc;
  }

  std::vector<int32_t> widened(size_t i, const Codes& codes) const {
    std::vector<int32_t> out;
    for (const uint8_t code : codes) out.push_back(read(network.nodes[i], code));
    return out;
  }
};

IntegerEngine::IntegerEngine(const IntegerNetwork& network, int64_t batch, Kernels kernels) {
  auto impl = std::make_unique<Impl>(Impl{.network = network, .batch = batch, .sizes = {}, .packed = {}});
  for (const IntegerNode& node : network.nodes) {
    impl->sizes.emplace_back();
    impl->packed.emplace_back();
    if (!node.is_layer()) continue;
    kernels::Conv2dSize& size = impl->sizes.back() = node.conv;
    size.n = batch;
    if (kernels == Kernels::fastest)
      impl->packed.back() = kernels::PackedConv2dInt8::make(size, impl->input(node).is_signed(), node.weights);
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
  if (values != nullptr) values->assign(nodes.size(), {});
  std::vector<int32_t> result;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const bool last = static_cast<int>(i) == impl_->network.output;
    if (last) {
      result = impl_->result(i, kept);
    } else if (i > 0) {
      kept[i] = impl_->codes(i, kept);
    }
    if (values != nullptr) (*values)[i] = last ? result : impl_->widened(i, kept[i]);
  }
  return result;
}

}  // namespace mixgrad
