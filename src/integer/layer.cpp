// SPDX-License-Identifier: Apache-2.0
// Convolutions and linear layers: lowering and execution.
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/ops.h>

#include <src/internal/layer_sums.h>
#include <src/internal/lowering.h>
#include <src/internal/memory_plan.h>
#include <src/internal/run_context.h>
#include <src/internal/shapes.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace mixgrad {
namespace {

using integer::Layer;

/// Largest sum that C could meet on the way to an output channel's: weights below 8 bits are unsigned there, and their
/// sums shifted by as many bits as they have.
int64_t largest_on_the_way(const Layer& layer, int64_t channel, int64_t largest_input) {
  const int bits = storage_bits(layer.weight_bits[static_cast<size_t>(channel)]);
  return bits == 8 ? 0 : layer.weights_per_channel() * largest_input * (((1 << bits) - 1) << bits);
}

/// The finest step for which the largest sum still fits.
float raw_step(const Layer& layer, const std::vector<int64_t>& largest) {
  float step = 0;
  for (size_t o = 0; o < largest.size(); ++o)
    step = std::max(step, static_cast<float>(layer.steps[o] * static_cast<double>(largest[o]) * 0x1p-30));
  return step == 0 ? 1 : step;
}

bool is_odd(CodeRange range) { return range.stride == 2; }

/// Devices store weights of b bits in two's complement, odd codes q as (q - 1) / 2.
void check_codes(const Node& node) {
  const WeightQuantizer& quantizer = *node.weight_slot->quantizer;
  for (const int bits : node.weight_slot->bits) {
    if (bits == 0) continue;
    const CodeRange range = quantizer.range(bits), held = signed_range(bits);
    if (is_odd(range) && bits <= most_odd_bits && range.high == -range.low && range.high == 2 * held.high + 1) continue;
    if (range.stride == 1 && range.low >= held.low && range.high <= held.high) continue;
    bad_input("'{}': {} quantizes its {}-bit weights to codes from {} to {}: expected codes from {} to {}", node.name,
              quantizer.name, bits, range.low, range.high, held.low, held.high);
  }
}

/// A layer of this size, with its codes, bias and ratios.
Layer coded(const LoweringContext& c, const Conv2dSize& size) {
  const Node& from = c.node();
  const Binding::NodeBinding& b = c.binding;
  if (!b.scale)
    bad_input("'{}' is a float layer, which has no integer form: quantize its weights and input", from.name);
  check_codes(from);
  Layer layer{.size = size,
              .weight_bits = from.weight_slot->bits,
              .odd_grid = is_odd(from.weight_slot->quantizer->range(2)),
              .weights = {b.weight.data().begin(), b.weight.data().end()},  // rank 4: O, H, W, I in memory
              .bias = bias_codes(b.bias, b.scale),
              .steps = {b.scale.data().begin(), b.scale.data().end()}};
  const int64_t largest_input = std::max(c.input().high, -c.input().low);
  const std::vector<int64_t> largest = integer::largest_sums(layer, largest_input);
  for (int64_t o = 0; o < size.c_out; ++o) {
    const int64_t most = std::max(largest[static_cast<size_t>(o)], largest_on_the_way(layer, o, largest_input));
    if (most > std::numeric_limits<int32_t>::max())
      bad_input("'{}': sums of channel {} could reach {}, which does not fit in 32 bits", from.name, o, most);
  }
  if (c.out.raw) c.out.step = raw_step(layer, largest);
  layer.ratios = fixed_points(b.scale, c.out.step);
  return layer;
}

/// Columns [C, positions] to [positions, C].
void columns_to_nhwc(Layer& layer, int64_t channels) {
  const int64_t positions = layer.weights_per_channel() / channels;
  const std::vector<int8_t> rows = layer.weights;
  for (int64_t o = 0; o < layer.size.c_out; ++o) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t p = 0; p < positions; ++p) {
        layer.weights[static_cast<size_t>((o * positions + p) * channels + c)] =
            rows[static_cast<size_t>((o * channels + c) * positions + p)];
      }
    }
  }
}

}  // namespace

void op::Conv2d::lower(LoweringContext& c) const {
  c.out.op = integer::Conv2d{coded(c, conv2d_size(c.image(), c.node().weight().shape(), attrs))};
}

/// An output row y reads the input rows i with y = i stride + k dilation - padding, k being the kernel's rows: as the
/// convolution does whose kernel is turned and whose input rows are stride apart.
void op::ConvTranspose2d::lower(LoweringContext& c) const {
  const Conv2dSize s = conv_transpose2d_size(c.image(), c.node().weight().shape(), attrs);
  Layer layer = coded(c, {.n = 1,
                          .c_in = s.c_out,
                          .h = (s.oh - 1) * s.stride_h + 1,
                          .w = (s.ow - 1) * s.stride_w + 1,
                          .c_out = s.c_in,
                          .oh = s.h,
                          .ow = s.w,
                          .kh = s.kh,
                          .kw = s.kw,
                          .pad_top = (s.kh - 1) * s.dilation_h - s.pad_top,
                          .pad_left = (s.kw - 1) * s.dilation_w - s.pad_left,
                          .dilation_h = s.dilation_h,
                          .dilation_w = s.dilation_w,
                          .groups = s.groups});
  layer.transposed = true;
  layer.weights = integer::turned(layer);
  c.out.op = integer::ConvTranspose2d{std::move(layer), attrs};
}

void op::Affine::lower(LoweringContext& c) const {
  const LayerShape shape = layer_shape(c.node());
  c.out.op = integer::Affine{coded(c, {.n = 1,
                                       .c_in = shape.groups,
                                       .h = shape.positions[0],
                                       .w = shape.positions[1],
                                       .c_out = shape.groups,
                                       .oh = shape.positions[0],
                                       .ow = shape.positions[1],
                                       .kh = 1,
                                       .kw = 1,
                                       .groups = shape.groups})};
}

void op::Linear::lower(LoweringContext& c) const {
  Layer layer = coded(c, {.n = 1,
                          .c_in = c.input().shape.size(),
                          .h = 1,
                          .w = 1,
                          .c_out = c.node().shape[0],
                          .oh = 1,
                          .ow = 1,
                          .kh = 1,
                          .kw = 1});
  if (c.flattened_channels > 0) columns_to_nhwc(layer, c.flattened_channels);
  c.out.op = integer::Linear{std::move(layer)};
}

namespace integer {

std::vector<int64_t> largest_sums(const Layer& layer, int64_t largest_input) {
  std::vector<int64_t> out;
  const int64_t columns = layer.weights_per_channel();
  for (int64_t o = 0; o < layer.size.c_out; ++o) {
    int64_t total = layer.bias.empty() ? 0 : std::abs(static_cast<int64_t>(layer.bias[static_cast<size_t>(o)]));
    for (int64_t k = 0; k < columns; ++k)
      total +=
          (std::abs(layer.weights[static_cast<size_t>(o * columns + k)]) + (layer.is_odd(o) ? 1 : 0)) * largest_input;
    out.push_back(total);
  }
  return out;
}

std::vector<int8_t> turned(const Layer& layer) {
  const int64_t inner = layer.size.c_in / layer.size.groups, positions = layer.size.kh * layer.size.kw;
  std::vector<int8_t> out(layer.weights.size());
  for (size_t k = 0; k < out.size(); ++k) {
    const auto at = static_cast<int64_t>(k), p = at / inner % positions;
    out[static_cast<size_t>(at + (positions - 1 - 2 * p) * inner)] = layer.weights[k];
  }
  return out;
}

op::Channels Layer::channels() const {
  if (size.groups == 1) return op::Channels::made;
  return size.groups == size.c_in && size.groups == size.c_out ? op::Channels::depthwise : op::Channels::grouped;
}

op::Sweep Layer::sweep(const Shape&) const { return sweep_of(size); }

op::Sweep ConvTranspose2d::sweep(const Shape& input) const {
  op::Sweep out = sweep_of(size);
  out.input = {input[1], input[2]};
  out.apart = attrs.stride;
  return out;
}

void Layer::count(DeviceBytes& bytes) const {
  bytes.weights += device::word_bytes * std::ssize(pack_weights(*this));
  bytes.biases += device::bias_bytes * size.c_out;
  bytes.multipliers += device::multiplier_bytes * std::ssize(ratios);
  bytes.shifts += device::shift_bytes * std::ssize(ratios);
  bytes.tables += device::layer_bytes + device::bits_bytes * size.c_out;
}

namespace {

void sums_of(const Layer& layer, const RunContext& c, std::span<const uint8_t> x, std::span<int32_t> out) {
  if (c.prepared.packed) return c.prepared.packed->sums(x, out);
  Conv2dSize all = layer.size;
  all.n = c.batch;
  kernels::reference::conv2d_int8(all, c.input().is_signed(), x, layer.weights, out);
}

void codes_of(const Layer& layer, const RunContext& c, std::span<const uint8_t> x, Codes out) {
  if (c.prepared.packed) return c.prepared.packed->codes(x, out);
  std::vector<int32_t> sums(out.size());
  sums_of(layer, c, x, sums);
  requantize(c, sums, out);
}

/// The transposed layer's input with zeros between its rows and columns.
std::vector<uint8_t> apart(const ConvTranspose2d& layer, const RunContext& c) {
  const Conv2dSize& size = layer.size;
  const auto [rows, columns] = layer.attrs.stride;
  std::vector<uint8_t> apart(static_cast<size_t>(c.batch * size.h * size.w * size.c_in), 0);
  auto from = c.codes().begin();
  for (int64_t n = 0; n < c.batch; ++n) {
    for (int64_t y = 0; y < size.h; y += rows) {
      for (int64_t column = 0; column < size.w; column += columns, from += size.c_in)
        std::copy_n(from, size.c_in, apart.begin() + ((n * size.h + y) * size.w + column) * size.c_in);
    }
  }
  return apart;
}

}  // namespace

void Layer::codes(const RunContext& c, Codes out) const { codes_of(*this, c, c.codes(), out); }
void Layer::sums(const RunContext& c, std::span<int32_t> out) const { sums_of(*this, c, c.codes(), out); }

void ConvTranspose2d::codes(const RunContext& c, Codes out) const { codes_of(*this, c, apart(*this, c), out); }
void ConvTranspose2d::sums(const RunContext& c, std::span<int32_t> out) const {
  sums_of(*this, c, apart(*this, c), out);
}

}  // namespace integer

}  // namespace mixgrad
