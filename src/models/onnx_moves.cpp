// SPDX-License-Identifier: Apache-2.0
// Operators that only move values: joining, cutting and picking channels, repeating positions.
#include "onnx_operators.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace mixgrad::models {

using onnx_file::Attributes;
using onnx_file::Constant;
using onnx_file::Node;

bool is_channels(const Layout& l, size_t i) {
  if (!l.axes[i].empty()) return l.axes[i] == std::vector<int>{0};
  if (l.extents[0] != 1) return false;
  if (!l.is_image()) return l.only_axis() == i;
  return (l.is({0, 1, 2}) && i == 0) || (l.is({1, 2, 0}) && i == 2);
}

namespace {

/// `l` with another number of channels along its axis `i`.
Layout resized(Layout l, size_t i, int64_t channels) {
  l.extents[0] = channels;
  l.axes[i] = channels > 1 ? std::vector<int>{0} : std::vector<int>();
  return l;
}

/// Axis `a` of the node's values, counted after N.
size_t axis_after_n(const Context& c, const Node& n, int64_t a, size_t rank) {
  const size_t axis = c.axis(n, a, rank);
  if (axis == 0) c.refuse(n, "its axis is N: expected that of the channels");
  return axis - 1;
}

/// The value at an input that no constant may take.
Value tensor(Context& c, const Node& n, size_t i) {
  if (i < n.inputs.size() && c.file.constant(n.inputs[i]) != nullptr) {
    c.refuse(n, fmt::format("its input '{}' is a constant: expected only tensors of the network", n.inputs[i]));
  }
  return c.input(n, i);
}

/// x as features, which lie along axis `i`.
Value features(Context& c, const Node& n, const Value& x, size_t i) {
  if (x.layout.only_axis() == i) return c.flat(x);
  c.refuse(n, fmt::format("axis {} of [N, {}] is not the channels: only these can be joined, cut or picked", i + 1,
                          fmt::join(x.layout.dims(), ", ")));
}

/// Channels of x by their indices in the file.
Value picked(Context& c, const Node& n, const Value& from, size_t i, SelectAttrs attrs) {
  const Value x = is_channels(from.layout, i) ? from : features(c, n, from, i);
  const int64_t count = std::ssize(attrs.channels);
  if (!x.layout.is_image()) {
    const std::vector<int64_t>& places = c.orders.settled(x.order, x.layout.size());
    for (int64_t& k : attrs.channels) k = places[static_cast<size_t>(k)];
  }
  Value y = c.step([attrs](const std::vector<Tensor>& in) { return select_channels(in[0], attrs); }, {&x},
                   resized(x.layout, i, count));
  if (!y.layout.is_image()) c.orders.settled(y.order, count);
  y.nonnegative = x.nonnegative;
  return y;
}

Value cut(Context& c, const Node& n, const Value& x, size_t i, int64_t begin, int64_t count) {
  SelectAttrs attrs{.channels = std::vector<int64_t>(static_cast<size_t>(count))};
  std::iota(attrs.channels.begin(), attrs.channels.end(), begin);
  return picked(c, n, x, i, std::move(attrs));
}

/// The numbers of channels of a Split's outputs.
std::vector<int64_t> parts_of(const Context& c, const Node& n, int64_t channels) {
  std::vector<int64_t> sizes = c.numbers(n, 1, "split");
  const auto outputs = std::ssize(n.outputs);
  if (sizes.empty()) {  // equal parts, the last of which may be smaller
    const int64_t size = (channels + outputs - 1) / outputs;
    for (int64_t k = 0; k < outputs; ++k) sizes.push_back(std::clamp<int64_t>(channels - k * size, 0, size));
  }
  const bool positive = std::ranges::all_of(sizes, [&](int64_t s) { return s > 0 && s <= channels; });
  if (std::ssize(sizes) != outputs || !positive || std::accumulate(sizes.begin(), sizes.end(), int64_t{0}) != channels)
    c.refuse(n, fmt::format("it splits {} channels into {} parts [{}]", channels, outputs, fmt::join(sizes, ", ")));
  return sizes;
}

/// The factors of a Resize along the file's axes, including N.
std::vector<double> factors_of(const Context& c, const Node& n, const std::vector<int64_t>& dims) {
  const size_t scales_at = n.op == "Upsample" || c.file.opset() < 11 ? 1 : 2;
  std::vector<double> out;
  const Constant* scales = c.constant(n, scales_at);
  const Constant* sizes = n.op == "Resize" && scales_at == 2 ? c.constant(n, 3) : nullptr;
  if (scales != nullptr && !scales->floats.empty()) {
    out.assign(scales->floats.begin(), scales->floats.end());
  } else if (sizes != nullptr && sizes->integers.size() == dims.size() + 1) {
    out.push_back(1);
    for (size_t a = 0; a < dims.size(); ++a)
      out.push_back(static_cast<double>(sizes->integers[a + 1]) / static_cast<double>(dims[a]));
  } else {
    out = Attributes(c.file, n).reals("scales");
  }
  if (out.size() != dims.size() + 1 || Attributes(c.file, n).has("axes"))
    c.refuse(n, fmt::format("{} scales or sizes: expected one for each of {} axes", out.size(), dims.size() + 1));
  return out;
}

/// How a Resize finds the position of the input that it copies.
struct Nearest {
  std::string coordinates, rounding;

  Nearest(const Context& c, const Node& n) {
    const bool older = n.op == "Upsample" || c.file.opset() < 11;
    const Attributes a(c.file, n);
    coordinates = a.text("coordinate_transformation_mode", older ? "asymmetric" : "half_pixel");
    rounding = a.text("nearest_mode", older ? "floor" : "round_prefer_floor");
  }

  /// For position i of an axis of `size` times `factor`; NaN if the mode is unknown.
  double position(double i, double size, double factor) const {
    return std::clamp(rounded(source(i, size, factor)), 0.0, size - 1);
  }

 private:
  double source(double i, double size, double factor) const {
    if (coordinates == "asymmetric") return i / factor;
    if (coordinates == "tf_half_pixel_for_nn") return (i + 0.5) / factor;
    if (coordinates == "align_corners") return size * factor > 1 ? i * (size - 1) / (size * factor - 1) : 0;
    const bool half =
        coordinates == "half_pixel" || coordinates == "half_pixel_symmetric" || coordinates == "pytorch_half_pixel";
    return half ? (i + 0.5) / factor - 0.5 : std::nan("");
  }

  double rounded(double x) const {
    if (rounding == "floor") return std::floor(x);
    if (rounding == "ceil") return std::ceil(x);
    if (rounding == "round_prefer_floor") return std::ceil(x - 0.5);
    return rounding == "round_prefer_ceil" ? std::floor(x + 0.5) : std::nan("");
  }
};

/// Refuses a Resize that reads other positions than repetition does.
void check_repeats(const Context& c, const Node& n, int64_t size, double factor) {
  constexpr double most_factor = 1 << 10;
  if (factor != std::floor(factor) || factor < 1 || factor > most_factor)
    c.refuse(n, fmt::format("a factor of {}: expected whole factors from 1 to {}", factor, most_factor));
  const auto whole = static_cast<int64_t>(factor);
  if (whole > 1 && size * whole > most_positions)
    c.refuse(n, fmt::format("{} positions times {}: expected at most {}", size, whole, most_positions));
  const Nearest nearest(c, n);
  for (int64_t i = 0; factor > 1 && i < size * whole; ++i) {
    const double position = nearest.position(static_cast<double>(i), static_cast<double>(size), factor);
    const int64_t repeated = i / whole;
    if (position != static_cast<double>(repeated)) {
      c.refuse(n,
               fmt::format("{} with {} does not repeat every position: expected asymmetric with floor, or half_pixel "
                           "with round_prefer_floor",
                           nearest.coordinates, nearest.rounding));
    }
  }
}

}  // namespace

Value import_concat(Context& c, const Node& n) {
  std::vector<Value> parts;
  for (size_t i = 0; i < n.inputs.size(); ++i) parts.push_back(tensor(c, n, i));
  if (parts.empty()) c.refuse(n, "it has no inputs");
  const size_t rank = parts[0].layout.axes.size() + 1;
  const auto others = [](const Value& v, size_t i) {  // its layout but for the channels
    Layout l = resized(v.layout, i, 1);
    return std::pair(l.extents, l.axes);
  };
  if (std::ranges::any_of(parts, [&](const Value& v) { return v.layout.axes.size() + 1 != rank; }))
    c.refuse(n, "its inputs have different numbers of dimensions");
  const size_t i = axis_after_n(c, n, Attributes(c.file, n).number("axis", 1), rank);
  const bool images =
      std::ranges::all_of(parts, [&](const Value& v) { return v.layout.is_image() && is_channels(v.layout, i); });
  if (!images) {
    for (Value& v : parts) v = features(c, n, v, i);
  }
  int64_t channels = 0;
  std::vector<int64_t> places;
  bool nonnegative = true;
  std::vector<const Value*> inputs;
  for (const Value& v : parts) {
    if (others(v, i) != others(parts[0], i)) {
      c.refuse(n, fmt::format("it joins [N, {}] and [N, {}]: they may differ in their channels only",
                              fmt::join(parts[0].layout.dims(), ", "), fmt::join(v.layout.dims(), ", ")));
    }
    if (!images) {
      for (const int64_t place : c.orders.settled(v.order, v.layout.size())) places.push_back(channels + place);
    }
    channels += v.layout.extents[0];
    nonnegative = nonnegative && v.nonnegative;
    inputs.push_back(&v);
  }
  Value y =
      c.step([](const std::vector<Tensor>& in) { return concat(in); }, inputs, resized(parts[0].layout, i, channels));
  if (!images) y.order = c.orders.fixed(std::move(places));
  y.nonnegative = nonnegative;
  return y;
}

Value import_slice(Context& c, const Node& n) {
  Value x = tensor(c, n, 0);
  const size_t rank = x.layout.axes.size() + 1;
  const std::vector<int64_t> starts = c.numbers(n, 1, "starts"), ends = c.numbers(n, 2, "ends"),
                             steps = c.numbers(n, 4, "steps");
  std::vector<int64_t> axes = c.numbers(n, 3, "axes");
  for (size_t k = axes.size(); k < starts.size(); ++k) axes.push_back(static_cast<int64_t>(k));
  if (ends.size() != starts.size() || axes.size() != starts.size()) {
    c.refuse(n, "starts, ends and axes differ in length");
  }
  for (size_t k = 0; k < starts.size(); ++k) {
    if (k < steps.size() && steps[k] != 1) c.refuse(n, fmt::format("a step of {}: expected 1", steps[k]));
    const size_t axis = c.axis(n, axes[k], rank);
    const int64_t size = axis == 0 ? c.batch : x.layout.dims()[axis - 1];
    const auto bound = [&](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + size : v, 0, size); };
    const int64_t begin = bound(starts[k]), end = bound(ends[k]);
    if (begin == 0 && end == size) continue;
    if (begin >= end) c.refuse(n, fmt::format("it leaves nothing of axis {}", axis));
    x = cut(c, n, x, axis_after_n(c, n, axes[k], rank), begin, end - begin);
  }
  return x;
}

Value import_split(Context& c, const Node& n) {
  const Value x = tensor(c, n, 0);
  const size_t i = axis_after_n(c, n, Attributes(c.file, n).number("axis", 0), x.layout.axes.size() + 1);
  const std::vector<int64_t> sizes = parts_of(c, n, x.layout.dims()[i]);
  int64_t begin = 0;
  for (size_t k = 0; k < sizes.size(); ++k) {
    if (!n.outputs[k].empty()) c.values[n.outputs[k]] = cut(c, n, x, i, begin, sizes[k]);
    begin += sizes[k];
  }
  return c.values[n.outputs[0]];
}

Value import_gather(Context& c, const Node& n) {
  const Value x = tensor(c, n, 0);
  const size_t i = axis_after_n(c, n, Attributes(c.file, n).number("axis", 0), x.layout.axes.size() + 1);
  const Constant& wanted = c.needed(n, 1);
  if (wanted.dims.size() != 1 || wanted.integers.empty())
    c.refuse(n, fmt::format("'{}' must be a list of channels", wanted.name));
  SelectAttrs attrs{.channels = wanted.integers};
  const int64_t channels = x.layout.dims()[i];
  for (int64_t& k : attrs.channels) {
    if (k < -channels || k >= channels) c.refuse(n, fmt::format("channel {} of {} does not exist", k, channels));
    if (k < 0) k += channels;
  }
  return picked(c, n, x, i, std::move(attrs));
}

Value shuffled(Context& c, const Value& x, int64_t groups) {
  Value y = c.step([groups](const std::vector<Tensor>& in) { return channel_shuffle(in[0], groups); }, {&x});
  y.nonnegative = x.nonnegative;
  return y;
}

Value import_resize(Context& c, const Node& n) {
  const Value x = c.input(n, 0);
  const std::string mode = Attributes(c.file, n).text("mode", "nearest");
  const std::vector<int64_t> dims = x.layout.dims();
  const std::vector<double> factors = factors_of(c, n, dims);
  if (std::ranges::all_of(factors, [](double f) { return f == 1; })) return x;
  if (mode != "nearest") c.refuse(n, fmt::format("unsupported mode {}: expected nearest", mode));
  const std::vector<int> permutation = x.layout.permutation();
  if (permutation.empty() || factors[0] != 1) {
    c.refuse(n, fmt::format("it resizes [N, {}] by [{}]: expected rows and columns of images", fmt::join(dims, ", "),
                            fmt::join(factors, ", ")));
  }
  Upsample2dAttrs attrs{.factor = {1, 1}};
  std::vector<int64_t> extents = x.layout.extents;
  for (size_t a = 0; a < dims.size(); ++a) {
    const auto ours = static_cast<size_t>(permutation[a]);
    if (ours == 0 && factors[a + 1] != 1) c.refuse(n, "it resizes channels: only rows and columns can be resized");
    check_repeats(c, n, dims[a], factors[a + 1]);
    if (ours > 0) attrs.factor[ours - 1] = static_cast<int64_t>(factors[a + 1]);
    extents[ours] *= static_cast<int64_t>(factors[a + 1]);
  }
  Value y = c.step([attrs](const std::vector<Tensor>& in) { return upsample2d(in[0], attrs); }, {&x},
                   Layout::image(extents, permutation));
  y.nonnegative = x.nonnegative;
  return y;
}

}  // namespace mixgrad::models
