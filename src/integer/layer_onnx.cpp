// SPDX-License-Identifier: Apache-2.0
// Convolutions and linear layers as ONNX's Conv and Gemm with dequantized weights.
#include <mixgrad/deploy.h>

#include <src/internal/lowering.h>
#include <src/internal/matrix.h>
#include <src/internal/onnx_context.h>
#include <src/internal/windows.h>

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <span>

namespace mixgrad::integer {
namespace {

using fmt::format;

/// Codes [O, positions, I] to [O, I, positions]: OHWI to OIHW, and linear layers to the order of a flattened [C, H, W].
std::vector<int8_t> onnx_order(const Layer& layer, int64_t inner) {
  const auto size = static_cast<size_t>(layer.weights_per_channel());
  std::vector<int8_t> out(layer.weights.size());
  for (size_t at = 0; at < out.size(); at += size)
    as_rows(std::span(out).subspan(at, size), inner) =
        as_rows(std::span(layer.weights).subspan(at, size), layer.weights_per_channel() / inner).transpose();
  return out;
}

/// Packs two values per byte, the first in the lower half.
std::vector<int8_t> nibbles(const std::vector<int8_t>& values) {
  std::vector<int8_t> out((values.size() + 1) / 2);
  for (size_t i = 0; i < values.size(); ++i)
    out[i / 2] = static_cast<int8_t>(out[i / 2] | (values[i] & 15) << (i % 2 * 4));
  return out;
}

std::string dequantized(OnnxWriter& add, const std::string& name, const std::vector<int64_t>& dims,
                        std::vector<int8_t> codes, int bits, const std::vector<float>& scales) {
  std::vector<int8_t> zeros(scales.size(), 0);
  if (bits == 4) codes = nibbles(codes), zeros = nibbles(zeros);
  const OnnxType type = bits == 4 ? OnnxType::int4 : OnnxType::int8;
  const std::string stored = add.constant(name + "/codes", type, dims, codes.data(), codes.size());
  const std::string zero_points =
      add.constant(name + "/zero_points", type, {std::ssize(scales)}, zeros.data(), zeros.size());
  return add.node("DequantizeLinear", {stored, add.floats(name + "/scales", scales), zero_points}, name,
                  {{"axis", {0}}});
}

/// Adjacent output channels whose weights have as many bits.
struct ChannelRun {
  int bits;
  int64_t channels;
};

/// Adjacent channels stored in one initializer: all as INT8, or from opset 21 on as INT4 where 4 bits are enough.
std::vector<ChannelRun> stored_runs(const Layer& layer, int opset) {
  if (opset < 21) return {{.bits = 8, .channels = layer.size.c_out}};
  std::vector<ChannelRun> runs;
  for (int64_t c = 0; c < layer.size.c_out; ++c) {
    const int needed = layer.weight_bits[static_cast<size_t>(c)] + (layer.is_odd(c) ? 1 : 0);  // by a code
    const int bits = needed <= 4 ? 4 : 8;
    if (runs.empty() || runs.back().bits != bits) runs.push_back({.bits = bits, .channels = 0});
    ++runs.back().channels;
  }
  return runs;
}

/// `dims`: shape of one output channel. `inner`: number of innermost channels.
std::string dequantized_weights(const OnnxContext& c, const Layer& layer, const std::vector<int64_t>& dims,
                                int64_t inner) {
  const std::string& node = c.node.name;
  const std::vector<ChannelRun> runs = stored_runs(layer, c.opset);
  const std::vector<int8_t> codes = onnx_order(layer, inner);
  std::vector<float> scales;
  for (const float step : layer.steps) scales.push_back(step / c.input().step);
  std::vector<std::string> parts;
  int64_t first = 0;
  for (const ChannelRun& run : runs) {
    const std::string name = runs.size() == 1 ? node + "/weight" : format("{}/weight/{}", node, parts.size());
    const auto at = codes.begin() + first * layer.weights_per_channel();
    std::vector<int64_t> all = {run.channels};
    all.insert(all.end(), dims.begin(), dims.end());
    parts.push_back(dequantized(c.add, name, all, {at, at + run.channels * layer.weights_per_channel()}, run.bits,
                                {scales.begin() + first, scales.begin() + first + run.channels}));
    first += run.channels;
  }
  return parts.size() == 1 ? parts[0] : c.add.node("Concat", parts, node + "/weight", {{"axis", {0}}});
}

/// The operands of Conv and Gemm: input, weights, bias.
std::vector<std::string> operands(const OnnxContext& c, const Layer& layer, const std::string& weight) {
  std::vector<std::string> out = {c.operand(), weight};
  if (layer.bias.empty()) return out;
  const std::string name = c.node.name + "/bias";
  const std::string codes = c.add.constant(name + "/codes", OnnxType::int32, {layer.size.c_out}, layer.bias.data(),
                                           layer.bias.size() * sizeof(int32_t));
  out.push_back(
      c.add.node("DequantizeLinear", {codes, c.add.floats(name + "/scale", layer.steps)}, name, {{"axis", {0}}}));
  return out;
}

}  // namespace

std::string Conv2d::onnx(const OnnxContext& c) const {
  const Conv2dSize& s = size;
  const int64_t inner = s.c_in / s.groups;
  const auto [top, left, bottom, right] = Windows::of(s).padding();
  const std::string w = dequantized_weights(c, *this, {inner, s.kh, s.kw}, inner);
  return c.add.node("Conv", operands(c, *this, w), c.node.name + "/sum",
                    {{"kernel_shape", {s.kh, s.kw}},
                     {"strides", {s.stride_h, s.stride_w}},
                     {"dilations", {s.dilation_h, s.dilation_w}},
                     {"group", {s.groups}},
                     {"pads", {top, left, bottom, right}}});
}

/// ONNX has the weights as [I, O / groups, KH, KW], and scales along one axis, so ours are rearranged by nodes.
std::string ConvTranspose2d::onnx(const OnnxContext& c) const {
  const Conv2dSize& s = size;
  const std::string& name = c.node.name;
  const auto dims = [&](const char* what, const std::vector<int64_t>& d) {
    return c.add.constant(name + what, OnnxType::int64, {std::ssize(d)}, d.data(), d.size() * sizeof(int64_t));
  };
  const int64_t inner = s.c_in / s.groups, outer = s.c_out / s.groups;
  Layer as_given = *this;
  as_given.weights = turned(*this);
  std::string w = dequantized_weights(c, as_given, {inner, s.kh, s.kw}, inner);
  const std::string in_groups = c.add.node("Reshape", {w, dims("/weight/groups", {s.groups, outer, inner, s.kh, s.kw})},
                                           name + "/weight/grouped");
  w = c.add.node("Transpose", {in_groups}, name + "/weight/swapped", {{"perm", {0, 2, 1, 3, 4}}});
  w = c.add.node("Reshape", {w, dims("/weight/dims", {s.c_in, outer, s.kh, s.kw})}, name + "/weight/transposed");
  const auto& [stride, padding, output_padding, dilation, groups] = attrs;
  std::array<int64_t, 2> more = output_padding, end{padding[2], padding[3]};
  for (size_t d = 0; d < 2;
       ++d) {  // less padding instead of more output: runtimes miscalculate what exceeds the stride
    const int64_t both = std::min(more[d], end[d]);
    more[d] -= both;
    end[d] -= both;
  }
  return c.add.node("ConvTranspose", operands(c, *this, w), name + "/sum",
                    {{"kernel_shape", {s.kh, s.kw}},
                     {"strides", {stride[0], stride[1]}},
                     {"dilations", {dilation[0], dilation[1]}},
                     {"output_padding", {more[0], more[1]}},
                     {"group", {groups}},
                     {"pads", {padding[0], padding[1], end[0], end[1]}}});
}

/// A product and a sum, because features have no positions for a Conv.
std::string Affine::onnx(const OnnxContext& c) const {
  const std::string& name = c.node.name;
  const std::vector<int64_t> dims =
      c.node.shape.rank() == 3 ? std::vector<int64_t>{size.c_out, 1, 1} : std::vector<int64_t>{size.c_out};
  std::vector<float> scales;
  for (const float step : steps) scales.push_back(step / c.input().step);
  const std::string w = dequantized(c.add, name + "/weight", dims, weights, 8, scales);
  const std::string y = c.add.node("Mul", {c.operand(), w}, name + "/product");
  if (bias.empty()) return y;
  const std::string codes =
      c.add.constant(name + "/bias/codes", OnnxType::int32, dims, bias.data(), bias.size() * sizeof(int32_t));
  const std::string b = c.add.node("DequantizeLinear", {codes, c.add.floats(name + "/bias/scale", steps)},
                                   name + "/bias", {{"axis", {0}}});
  return c.add.node("Add", {y, b}, name + "/sum");
}

std::string Linear::onnx(const OnnxContext& c) const {
  const std::string w = dequantized_weights(c, *this, {weights_per_channel()}, c.input().channels());
  return c.add.node("Gemm", operands(c, *this, w), c.node.name + "/sum", {{"transB", {1}}});
}

}  // namespace mixgrad::integer
