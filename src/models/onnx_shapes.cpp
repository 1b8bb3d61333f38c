// SPDX-License-Identifier: Apache-2.0
// Changes of shape: they change the layout of a value in the file, not the value itself.
#include "onnx_operators.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace mixgrad::models {

using onnx_file::Attributes;
using onnx_file::Node;

namespace {

using Dims = std::vector<int64_t>;

/// x with other axes after N.
Value reshaped(const Context& c, const Node& n, const Value& x, const Dims& dims) {
  const std::optional<Layout> layout = x.layout.reshaped(dims);
  if (!layout) {
    c.refuse(n, fmt::format("it reshapes [N, {1}] to [N, {0}]: expected [N, {2}], or axes that it had before",
                            fmt::join(dims, ", "), fmt::join(x.layout.dims(), ", "), x.layout.size()));
  }
  Value y = x;
  y.layout = *layout;
  return y;
}

/// The axes after N that a Reshape from `is` asks for.
Dims target(const Context& c, const Node& n, const Dims& is) {
  const Dims to = c.numbers(n, 1, "shape");
  const int64_t size = std::accumulate(is.begin(), is.end(), int64_t{1}, std::multiplies<>());
  const std::string asked = fmt::format("it reshapes [N, {}] to [{}]", fmt::join(is, ", "), fmt::join(to, ", "));
  const bool copies = Attributes(c.file, n).number("allowzero", 0) == 0;
  const bool keeps_n = to.size() > 1 && (to[0] == -1 || to[0] == c.batch || (to[0] == 0 && copies));
  if (!keeps_n || std::ranges::count(to, -1) > 1) c.refuse(n, asked + ": expected the number of images first");
  Dims out;
  int64_t known = 1;
  for (size_t i = 1; i < to.size(); ++i) {
    out.push_back(to[i] == 0 && copies && i <= is.size() ? is[i - 1] : to[i]);
    if (out.back() == -1) continue;
    if (out.back() < 1 || known > size / out.back()) {
      c.refuse(n, fmt::format("{}: expected {} values", asked, size));
    }
    known *= out.back();
  }
  const auto open = std::ranges::find(out, -1);
  if (open != out.end()) *open = size / known, known *= *open;
  if (known != size) c.refuse(n, fmt::format("{}: expected {} values", asked, size));
  return out;
}

/// The groups of a channel shuffle that begins with the Reshape `n` to `dims`: it splits the channels in two axes, a
/// Transpose swaps these, and a Reshape restores the shape. Both are then absorbed. 0 if it is none.
int64_t shuffled_groups(Context& c, const Node& n, const Layout& from, const Dims& dims) {
  const Node* swap = c.file.only_consumer(n.outputs[0]);
  const Node* back = swap == nullptr ? nullptr : c.file.only_consumer(swap->outputs[0]);
  if (back == nullptr || swap->op != "Transpose" || back->op != "Reshape") return 0;
  const Dims is = from.dims(), perm = Attributes(c.file, *swap).list("perm");
  size_t axis = 0;
  while (axis < is.size() && !(from.axes[axis] == std::vector<int>{0})) ++axis;
  if (axis == is.size() || dims.size() < axis + 2 || perm.size() != dims.size() + 1) return 0;
  if (!std::equal(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(axis), is.begin())) return 0;
  if (dims[axis] * dims[axis + 1] != is[axis]) return 0;
  for (size_t a = 0; a < perm.size(); ++a) {
    const size_t expected = a == axis + 1 ? axis + 2 : a == axis + 2 ? axis + 1 : a;
    if (perm[a] != static_cast<int64_t>(expected)) return 0;
  }
  Dims swapped = dims;
  std::swap(swapped[axis], swapped[axis + 1]);
  if (target(c, *back, swapped) != is) return 0;
  c.absorbed.insert(swap);
  c.absorbed.insert(back);
  return dims[axis];
}

}  // namespace

Value import_same(Context& c, const Node& n) { return c.padded_input(n, 0); }

Value import_cast(Context& c, const Node& n) {
  if (!onnx_file::is_real(Attributes(c.file, n).number("to", 0))) {
    c.refuse(n, "only casts to real numbers, which are all float32 here, are supported");
  }
  return c.padded_input(n, 0);
}

/// What Mul would do by itself: a gate that is repeated to the size of the images before it multiplies them.
Value import_expand(Context& c, const Node& n) {
  const Dims to = c.numbers(n, 1, "");
  for (const Node* next : c.file.consumers(n.outputs[0])) {
    const auto other = std::ranges::find_if(next->inputs, [&](const std::string& i) { return i != n.outputs[0]; });
    const auto found = other == next->inputs.end() ? c.values.end() : c.values.find(*other);
    const Dims is = found == c.values.end() ? Dims() : found->second.layout.dims();
    const bool same = !to.empty() && std::ranges::equal(is, std::span(to).subspan(1));
    if (next->op != "Mul" || !same) c.refuse(n, "only supported before a Mul with a tensor of the same size");
  }
  return c.input(n, 0);
}

Value import_flatten(Context& c, const Node& n) {
  const Value& x = c.input(n, 0);
  const Dims is = x.layout.dims();
  const int64_t axis = Attributes(c.file, n).number("axis", 1), rank = static_cast<int64_t>(is.size()) + 1;
  const size_t first = axis == rank ? static_cast<size_t>(rank) : c.axis(n, axis, static_cast<size_t>(rank));
  const bool keeps_n = first > 0 && std::all_of(is.begin(), is.begin() + static_cast<std::ptrdiff_t>(first) - 1,
                                                [](int64_t d) { return d == 1; });
  if (!keeps_n) c.refuse(n, fmt::format("axis {} of [N, {}]: expected 1", axis, fmt::join(is, ", ")));
  return reshaped(c, n, x, {x.layout.size()});
}

Value import_reshape(Context& c, const Node& n) {
  const Value& x = c.input(n, 0);
  if (c.absorbed.contains(&n)) return x;
  const Dims dims = target(c, n, x.layout.dims());
  const int64_t groups = x.layout.is_image() && !x.layout.reshaped(dims) ? shuffled_groups(c, n, x.layout, dims) : 0;
  return groups > 0 ? shuffled(c, x, groups) : reshaped(c, n, x, dims);
}

Value import_squeeze(Context& c, const Node& n) {
  Value x = c.input(n, 0);
  const std::vector<std::vector<int>> is = x.layout.axes;
  std::vector<bool> dropped(is.size() + 1, false);
  const Dims axes = c.numbers(n, 1, "axes");
  for (const int64_t a : axes) dropped[c.axis(n, a, is.size() + 1)] = true;
  x.layout.axes.clear();
  for (size_t a = 0; a < is.size(); ++a) {
    if (!is[a].empty() && dropped[a + 1]) c.refuse(n, fmt::format("axis {} is longer than 1", a + 1));
    if (!is[a].empty() || (!axes.empty() && !dropped[a + 1])) x.layout.axes.push_back(is[a]);
  }
  if (dropped[0]) c.refuse(n, "it removes the first axis, N: only other axes can be removed");
  return x;
}

Value import_unsqueeze(Context& c, const Node& n) {
  Value x = c.input(n, 0);
  const Dims axes = c.numbers(n, 1, "axes");
  const size_t rank = x.layout.axes.size() + 1 + axes.size();
  std::vector<bool> added(rank, false);
  for (const int64_t a : axes) added[c.axis(n, a, rank)] = true;
  if (added[0] || std::ranges::count(added, true) != std::ssize(axes)) {
    c.refuse(n, "it adds an axis before N, or the same axis twice");
  }
  std::vector<std::vector<int>> out;
  auto next = x.layout.axes.begin();
  for (size_t a = 1; a < rank; ++a) out.push_back(added[a] ? std::vector<int>() : *next++);
  x.layout.axes = std::move(out);
  return x;
}

Value import_transpose(Context& c, const Node& n) {
  Value x = c.padded_input(n, 0);
  if (c.absorbed.contains(&n)) return x;
  const std::vector<std::vector<int>> is = x.layout.axes;
  const Dims order = Attributes(c.file, n).list("perm");
  Dims sorted = order;
  std::ranges::sort(sorted);
  bool keeps_n = order.size() == is.size() + 1 && order[0] == 0;
  for (size_t a = 0; keeps_n && a < sorted.size(); ++a) keeps_n = sorted[a] == static_cast<int64_t>(a);
  if (!keeps_n) {
    c.refuse(n, fmt::format("perm [{}] for {} axes: expected a permutation that keeps N first", fmt::join(order, ", "),
                            is.size() + 1));
  }
  for (size_t a = 0; a < is.size(); ++a) x.layout.axes[a] = is[static_cast<size_t>(order[a + 1]) - 1];
  return x;
}

}  // namespace mixgrad::models
