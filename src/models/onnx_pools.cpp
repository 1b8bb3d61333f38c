// SPDX-License-Identifier: Apache-2.0
// Pools, and the Pads that are merged into them and into convolutions.
#include "onnx_operators.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace mixgrad::models {

using onnx_file::Attributes;
using onnx_file::Constant;
using onnx_file::Node;

namespace {

constexpr float lowest = -3e38F;  // exporters pad with this or -∞ so that a maximum ignores the padding

/// {before, after} for every axis of the file, including N.
std::vector<std::array<int64_t, 2>> pads_of(const Context& c, const Node& n, size_t rank) {
  std::vector<int64_t> pads = c.numbers(n, 1, "pads"), axes = c.numbers(n, 3, "axes");
  if (axes.empty()) {
    for (size_t a = 0; a < rank; ++a) axes.push_back(static_cast<int64_t>(a));
  }
  if (pads.size() != 2 * axes.size()) {
    c.refuse(n, fmt::format("{} pads for {} axes: expected two per axis", pads.size(), axes.size()));
  }
  std::vector<std::array<int64_t, 2>> out(rank, {0, 0});
  for (size_t i = 0; i < axes.size(); ++i) out[c.axis(n, axes[i], rank)] = {pads[i], pads[i + axes.size()]};
  return out;
}

float pad_value(const Context& c, const Node& n) {
  const Constant* k = c.constant(n, 2);
  if (k == nullptr) return static_cast<float>(Attributes(c.file, n).real("value", 0));
  if (k->floats.size() != 1) {
    c.refuse(n, fmt::format("'{}' is {} with {} values, expected one float", k->name, k->type, k->size()));
  }
  return k->floats[0];
}

Value pooled(Context& c, const Value& x, const Pool2dAttrs& attrs, bool largest) {
  Layout layout = x.layout;
  Value y = c.step(
      [attrs, largest](const std::vector<Tensor>& in) {
        return largest ? max_pool2d(in[0], attrs) : avg_pool2d(in[0], attrs);
      },
      {&x}, layout);
  for (size_t d = 0; d < 3; ++d) layout.extents[d] = y.sample.dim(static_cast<int>(d) + 1);
  for (std::vector<int>& axis : layout.axes) {  // axes of length 1 have no order
    std::erase_if(axis, [&](int a) { return layout.extents[static_cast<size_t>(a)] == 1; });
  }
  y.layout = layout;
  y.nonnegative = x.nonnegative;
  return y;
}

/// Whether a pool can take up a Pad before it. A maximum may ignore padding with the lowest value, or with 0 if no
/// value is negative; an average counts padding with 0.
bool takes_up(const Value& x, bool largest, const Pool2dAttrs& attrs) {
  const float value = x.padding.value;
  for (size_t side = 0; side < 4; ++side) {
    const size_t d = side % 2;
    if (attrs.padding[side] + x.padding.sides[side] > (attrs.kernel[d] - 1) * attrs.dilation[d]) return false;
  }
  const bool has_own = attrs.padding != std::array<int64_t, 4>{0, 0, 0, 0};
  return largest ? value <= lowest || (value == 0 && x.nonnegative) : value == 0 && (!has_own || attrs.count_padding);
}

/// Merges a Pad into a pool; zeros that can't be merged become an operation of their own. Returns the pool's input.
const Value& take_up(Context& c, const Node& n, bool largest, Pool2dAttrs& attrs) {
  const Value& x = c.image(n);
  if (x.padding.empty()) return x;
  if (!takes_up(x, largest, attrs)) return c.image_with_padding(n);
  for (size_t side = 0; side < 4; ++side) attrs.padding[side] += x.padding.sides[side];
  attrs.count_padding = true;
  return x;
}

/// The number of windows by ONNX's rules.
int64_t windows(int64_t size, int64_t before, int64_t after, int64_t kernel, int64_t stride, bool ceil) {
  const int64_t room = size + before + after - kernel;
  if (room + (ceil ? stride - 1 : 0) < 0) return 0;
  const int64_t count = (room + (ceil ? stride - 1 : 0)) / stride + 1;
  return ceil && (count - 1) * stride >= size + before ? count - 1 : count;
}

}  // namespace

void check_window(const Context& c, const Node& n, std::initializer_list<int64_t> sizes) {
  for (const int64_t v : sizes) {
    if (v < 1 || v > most_positions) {
      c.refuse(n, fmt::format("kernel, strides, dilations and group must be from 1 to {}", most_positions));
    }
  }
}

std::array<int64_t, 4> pads_attribute(const Context& c, const Node& n, const Layout& layout) {
  const Attributes a(c.file, n);
  const std::optional<size_t> signal = layout.signal_axis();
  if (!signal) return a.fixed<4>("pads", {0, 0, 0, 0});
  const auto [before, after] = a.fixed<2>("pads", {0, 0});
  std::array<int64_t, 4> out{0, 0, 0, 0};
  out[*signal - 1] = before;
  out[*signal + 1] = after;
  return out;
}

std::array<int64_t, 4> padding_of(const Context& c, const Node& n, const Layout& layout, std::array<int64_t, 2> size,
                                  std::array<int64_t, 2> reach, std::array<int64_t, 2> stride) {
  const Attributes a(c.file, n);
  const std::string automatic = a.text("auto_pad", "NOTSET");
  std::array<int64_t, 4> out{0, 0, 0, 0};
  if (automatic == "NOTSET" || automatic.empty()) {
    out = pads_attribute(c, n, layout);
  } else if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
    for (size_t d = 0; d < 2; ++d) {
      const int64_t outputs = (size[d] + stride[d] - 1) / stride[d];
      const int64_t total = std::max<int64_t>(0, (outputs - 1) * stride[d] + reach[d] - size[d]);
      out[d] = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
      out[d + 2] = total - out[d];
    }
  } else if (automatic != "VALID") {
    c.refuse(n, fmt::format("unknown auto_pad {}", automatic));
  }
  for (size_t side = 0; side < 4; ++side) {
    if (out[side] < 0 || out[side] >= reach[side % 2]) c.refuse(n, "its padding must be smaller than its kernel");
  }
  return out;
}

Value import_pad(Context& c, const Node& n) {
  Value x = c.padded_input(n, 0);
  const std::string mode = Attributes(c.file, n).text("mode", "constant");
  const auto pads = pads_of(c, n, x.layout.axes.size() + 1);
  if (std::ranges::all_of(pads, [](const auto& p) { return p[0] == 0 && p[1] == 0; })) return x;
  if (mode != "constant") c.refuse(n, fmt::format("unsupported mode {}: expected constant", mode));
  const float value = pad_value(c, n);
  const std::vector<int> axes = x.layout.permutation();
  if (axes.empty())
    c.refuse(n, fmt::format("it pads a tensor [N, {}]: expected images or signals", fmt::join(x.layout.dims(), ", ")));
  if (!x.padding.empty() && x.padding.value != value) {
    c.refuse(n, fmt::format("it pads with {} after padding with {}: expected equal values", value, x.padding.value));
  }
  x.padding.value = value;
  for (size_t a = 0; a < pads.size(); ++a) {
    const int ours = a == 0 ? 0 : axes[a - 1];
    for (size_t end = 0; end < 2; ++end) {
      const int64_t by = pads[a][end];
      if (by < 0 || by > most_positions || (by > 0 && ours == 0)) {
        c.refuse(n, fmt::format("it pads axis {} by {}: only rows and columns can be padded, by 0 or more", a, by));
      }
      if (by > 0) x.padding.sides[static_cast<size_t>(ours - 1) + 2 * end] += by;
    }
  }
  return x;
}

Value import_pool(Context& c, const Node& n) {
  const Value& x = c.image(n);
  const Attributes a(c.file, n);
  const bool largest = n.op == "MaxPool";
  if (n.outputs.size() > 1 && !n.outputs[1].empty()) {
    c.refuse(n, "its second output, the indices of the maxima, is not supported");
  }
  Pool2dAttrs attrs{.kernel = c.per_axis(n, x.layout, "kernel_shape", 0, 1),
                    .stride = c.per_axis(n, x.layout, "strides", 1, 1),
                    .padding = {},
                    .dilation = c.per_axis(n, x.layout, "dilations", 1, 1),
                    .ceil = a.number("ceil_mode", 0) != 0,
                    .count_padding = largest || a.number("count_include_pad", 0) != 0};
  check_window(
      c, n, {attrs.kernel[0], attrs.kernel[1], attrs.stride[0], attrs.stride[1], attrs.dilation[0], attrs.dilation[1]});
  if (!largest && attrs.dilation != std::array<int64_t, 2>{1, 1})
    c.refuse(n, "dilations must be 1: only maxima can be dilated");
  std::array<int64_t, 2> size{}, span{};
  for (size_t d = 0; d < 2; ++d) {
    size[d] = x.layout.extents[d + 1] + x.padding.sides[d] + x.padding.sides[d + 2];
    span[d] = (attrs.kernel[d] - 1) * attrs.dilation[d] + 1;
  }
  attrs.padding = padding_of(c, n, x.layout, size, span, attrs.stride);
  std::vector<int64_t> expected;
  for (size_t d = 0; d < 2; ++d) {
    expected.push_back(windows(size[d], attrs.padding[d], attrs.padding[d + 2], span[d], attrs.stride[d], attrs.ceil));
  }
  if (attrs.padding == std::array<int64_t, 4>{0, 0, 0, 0}) attrs.count_padding = true;  // no padding: use the default
  const Value y = pooled(c, take_up(c, n, largest, attrs), attrs, largest);
  if (y.layout.extents[1] != expected[0] || y.layout.extents[2] != expected[1]) {
    c.refuse(n, fmt::format("a window of {} by {} starts in the padding", attrs.kernel[0], attrs.kernel[1]));
  }
  return y;
}

Value import_global_pool(Context& c, const Node& n) {
  const Value& x = c.image_with_padding(n);
  return pooled(c, x, {.kernel = {x.layout.extents[1], x.layout.extents[2]}}, n.op == "GlobalMaxPool");
}

/// A reduction over rows, columns or both is a pool.
Value import_reduce(Context& c, const Node& n) {
  const Value& x = c.input(n, 0);
  const bool kept = Attributes(c.file, n).number("keepdims", 1) != 0;
  const size_t rank = x.layout.axes.size() + 1;
  std::vector<bool> reduced(rank, false);
  for (const int64_t a : c.numbers(n, 1, "axes")) reduced[c.axis(n, a, rank)] = true;
  Pool2dAttrs attrs{.kernel = {1, 1}};
  for (size_t a = 1; a < rank; ++a) {
    for (const int ours : reduced[a] ? x.layout.axes[a - 1] : std::vector<int>()) {
      if (ours == 0) c.refuse(n, "it reduces channels: only rows and columns of images can be reduced");
      attrs.kernel[static_cast<size_t>(ours - 1)] = x.layout.extents[static_cast<size_t>(ours)];
    }
  }
  if (reduced[0] || std::ranges::count(reduced, true) == 0) {
    c.refuse(n, "it reduces N, or has no axes: expected those of rows and columns");
  }
  Value y = attrs.kernel == std::array<int64_t, 2>{1, 1} ? x : pooled(c, x, attrs, n.op == "ReduceMax");
  if (kept) return y;
  std::vector<std::vector<int>> axes;
  for (size_t a = 1; a < rank; ++a) {
    if (!reduced[a]) axes.push_back(y.layout.axes[a - 1]);
  }
  y.layout.axes = std::move(axes);
  return y;
}

}  // namespace mixgrad::models
