// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>

#include <src/internal/tflite_context.h>

#include <fmt/core.h>

#include <algorithm>
#include <limits>

namespace mixgrad::integer {
namespace {

/// Whether a raw node's values are bounded above, as by a ReLU6.
bool has_top(const IntegerNode& node) { return node.high < std::numeric_limits<int32_t>::max(); }

}  // namespace

bool is_valid(const Windows& w) { return w.padding() == std::array<int64_t, 4>{}; }

bool is_same(const Windows& w) {
  const auto fits = [](int64_t in, int64_t out, int64_t step, int64_t before, int64_t after) {
    return out == (in + step - 1) / step && before == std::max<int64_t>(0, before + after) / 2;
  };
  return fits(w.h, w.oh, w.stride[0], w.top, w.bottom()) && fits(w.w, w.ow, w.stride[1], w.left, w.right());
}

TfliteOptions options_of(const Windows& w, int64_t multiplier) {
  return {.same = !is_valid(w),
          .kernel = w.kernel,
          .stride = w.stride,
          .dilation = w.dilation,
          .multiplier = multiplier,
          .axis = 0};
}

std::vector<int64_t> TfliteContext::dims(const Shape& s) {
  return s.rank() == 3 ? std::vector<int64_t>{1, s[1], s[2], s[0]} : std::vector<int64_t>{1, 1, 1, s[0]};
}

int TfliteContext::operand(const TfliteValue& x) const {
  if (!node.raw) return x.tensor;
  const std::string name = fmt::format("{}/operand{}", node.name, x.tensor);
  const int y = add.tensor(name, {.dims = dims(input().shape), .type = TfliteType::float32});
  add.node("DEQUANTIZE", 2, {x.tensor}, y);
  return y;
}

TfliteValue TfliteContext::codes(const std::string& name, const std::vector<int64_t>& dims, int zero_point) const {
  if (node.raw) return {add.tensor(name, {.dims = dims, .type = TfliteType::float32})};
  return {add.tensor(name, {.dims = dims, .scales = {node.step}, .zero_point = zero_point}), zero_point};
}

void TfliteContext::check_sums(double ratio, double largest) const {
  if (node.raw || ratio <= 1 || 2 * ratio * largest < 0x1p31) return;
  bad_input("'{}': TFLite can't hold its sums in 32 bits in steps of {}, as fine as its quantizer's", node.name,
            node.step);
}

TfliteValue TfliteContext::rounded(const std::string& op, int version, const std::vector<int>& inputs,
                                   const TfliteOptions& options, bool fuses) const {
  const bool relu = fuses && needs_cut() && node.low == 0 && !(node.raw && has_top(node)),
             cut_after = needs_cut() && !relu;
  TfliteOptions all = options;
  all.relu = relu;
  const TfliteValue y = codes(cut_after ? node.name + "/uncut" : node.name, dims(node.shape), zero_point());
  add.node(op, version, inputs, y.tensor, all);
  return cut_after ? cut(y, node.name) : y;
}

TfliteValue TfliteContext::cut(const TfliteValue& x, const std::string& name) const {
  if (node.raw) return cut_real(x, name);
  const auto lowest = static_cast<int8_t>(node.low + x.zero_point);
  const int constant = add.tensor(
      name + "/lowest", {.dims = {1, 1, 1, 1}, .scales = {node.step}, .zero_point = x.zero_point}, &lowest, 1);
  const TfliteValue y = codes(name, dims(node.shape), x.zero_point);
  add.node("MAXIMUM", 2, {x.tensor, constant}, y.tensor);
  return y;
}

TfliteValue TfliteContext::cut_real(const TfliteValue& x, const std::string& name) const {
  const auto bounded = [&](const char* op, const TfliteValue& from, int bound, const std::string& wanted) {
    const float value = static_cast<float>(bound) * node.step;
    const int constant = add.tensor(fmt::format("{}/{}", name, bound),
                                    {.dims = {1, 1, 1, 1}, .type = TfliteType::float32}, &value, sizeof(value));
    const TfliteValue y = codes(wanted, dims(node.shape), 0);
    add.node(op, 1, {from.tensor, constant}, y.tensor);
    return y;
  };
  if (!has_top(node)) return bounded("MAXIMUM", x, node.low, name);
  return bounded("MINIMUM", bounded("MAXIMUM", x, node.low, name + "/positive"), node.high, name);
}

/// TFLite has no tables of codes, but GATHER, which takes 32-bit indices.
TfliteValue TfliteContext::looked_up(const std::vector<int>& table) const {
  const std::vector<int64_t> all = dims(node.shape);
  const int64_t channels = std::ssize(table) / 256;
  const int stored = add.tensor(node.name + "/stored", {.dims = all, .type = TfliteType::int32});
  add.node("CAST", 3, {value().tensor}, stored);
  std::vector<int64_t> first;
  for (int64_t c = 0; c < channels; ++c) first.push_back(256 * c + 128);
  const int places = add.tensor(node.name + "/places", {.dims = all, .type = TfliteType::int32});
  add.node("ADD", 1, {stored, add.integers(node.name + "/first", first, {1, 1, 1, channels})}, places);
  std::vector<int8_t> entries;
  for (const int code : table) entries.push_back(static_cast<int8_t>(code + zero_point()));
  const int constant =
      add.tensor(node.name + "/table", {.dims = {std::ssize(table)}, .scales = {node.step}, .zero_point = zero_point()},
                 entries.data(), entries.size());
  const TfliteValue y = codes(node.name, all, zero_point());
  add.node("GATHER", 2, {constant, places}, y.tensor);
  return y;
}

TfliteValue TfliteContext::reshaped(const TfliteValue& x, const std::string& name,
                                    const std::vector<int64_t>& dims) const {
  const TfliteValue y = codes(name, dims, x.zero_point);
  add.node("RESHAPE", 1, {x.tensor, add.integers(name + "/dims", dims)}, y.tensor);
  return y;
}

TfliteValue TfliteContext::part(const TfliteValue& x, const std::string& name, const std::vector<int64_t>& first,
                                const std::vector<int64_t>& dims) const {
  const TfliteValue y = codes(name, dims, x.zero_point);
  add.node("SLICE", 2, {x.tensor, add.integers(name + "/first", first), add.integers(name + "/size", dims)}, y.tensor);
  return y;
}

TfliteValue TfliteContext::around(const TfliteValue& x, const std::string& name, const Shape& shape,
                                  const std::array<int64_t, 4>& padding, std::optional<int8_t> fill) const {
  const auto [top, left, bottom, right] = padding;
  std::vector<int> inputs = {x.tensor, add.integers(name + "/pads", {0, 0, top, bottom, left, right, 0, 0}, {4, 2})};
  const float step = input().step;
  if (fill) {
    inputs.push_back(
        add.tensor(name + "/fill", {.dims = {1}, .scales = {step}, .zero_point = x.zero_point}, &*fill, 1));
  }
  const int y = add.tensor(name, {.dims = {1, shape[1] + top + bottom, shape[2] + left + right, shape[0]},
                                  .scales = {step},
                                  .zero_point = x.zero_point});
  add.node(fill ? "PADV2" : "PAD", 2, inputs, y);
  return {y, x.zero_point};
}

TfliteValue TfliteContext::under(Windows& windows, std::optional<int8_t> fill) const {
  if (is_valid(windows) || is_same(windows)) return value();
  const std::array<int64_t, 4> padding = windows.padding();
  windows = windows.on_padded(padding);
  return around(value(), node.name + "/padded", input().shape, padding, fill);
}

}  // namespace mixgrad::integer
