// SPDX-License-Identifier: Apache-2.0
#include "onnx_folding.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace mixgrad::models::onnx_folding {
namespace {

/// The values of `from` at `places`, with shape `dims`.
Constant picked(const Constant& from, Dims dims, const std::vector<size_t>& places) {
  Constant out{.name = "", .type = from.type, .dims = std::move(dims), .floats = {}, .integers = {}};
  for (const size_t p : places) {
    if (!from.floats.empty()) {
      out.floats.push_back(from.floats[p]);
    } else {
      out.integers.push_back(from.integers[p]);
    }
  }
  return out;
}

Constant reshaped(const Constant& from, Dims dims) {
  Constant out = from;
  out.dims = std::move(dims);
  return out;
}

constexpr int64_t most_step = int64_t{1} << 40;

/// One axis of a Slice: its start, step and number of elements.
struct Cut {
  int64_t start, step, count;
};

Cut cut(int64_t size, int64_t start, int64_t end, int64_t step) {
  if (size == 0) return {0, 1, 0};
  const auto bound = [&](int64_t v, int64_t low, int64_t high) { return std::clamp(v < 0 ? v + size : v, low, high); };
  if (step > 0) {
    start = bound(start, 0, size), end = bound(end, 0, size);
    return {start, step, end > start ? (end - start - 1) / step + 1 : 0};
  }
  start = bound(start, 0, size - 1), end = bound(end, -1, size - 1);
  return {start, step, start > end ? (start - end - 1) / -step + 1 : 0};
}

}  // namespace

Dims strides(const Dims& dims) {
  Dims out(dims.size(), 1);
  for (size_t d = dims.size(); d-- > 1;) out[d - 1] = out[d] * dims[d];
  return out;
}

void for_each_index(const Dims& dims, const std::function<void(const Dims&)>& visit) {
  if (std::ranges::find(dims, 0) != dims.end()) return;
  Dims index(dims.size(), 0);
  while (true) {
    visit(index);
    size_t d = dims.size();
    while (d > 0 && ++index[d - 1] == dims[d - 1]) index[--d] = 0;
    if (d == 0) return;
  }
}

Constant identity(const Folding& f) { return f.input(0); }

Constant concat(const Folding& f) {
  const Constant& first = f.input(0);
  if (first.dims.empty()) f.refuse("scalars can't be concatenated");
  const size_t axis = f.axis(f.attributes.number("axis", 0), first.dims.size());
  Constant out{.name = "", .type = first.type, .dims = first.dims, .floats = {}, .integers = {}};
  out.dims[axis] = 0;
  for (size_t i = 0; i < f.node.inputs.size(); ++i) {
    const Constant& part = f.input(i);
    Dims others = part.dims;
    if (others.size() == out.dims.size()) others[axis] = out.dims[axis];
    if (others != out.dims || (part.size() > 0 && first.size() > 0 && part.floats.empty() != first.floats.empty())) {
      f.refuse(fmt::format("'{}' and '{}' have incompatible shapes or types", part.name, first.name));
    }
    out.dims[axis] += part.dims[axis];
  }
  f.size_of(out.dims);
  const auto outer = std::accumulate(out.dims.begin(), out.dims.begin() + static_cast<std::ptrdiff_t>(axis), int64_t{1},
                                     std::multiplies<>());
  for (int64_t row = 0; row < outer; ++row) {
    for (size_t i = 0; i < f.node.inputs.size(); ++i) {
      const Constant& part = f.input(i);
      const auto begin = part.size() / outer * row, end = part.size() / outer * (row + 1);
      if (!part.floats.empty()) {
        out.floats.insert(out.floats.end(), part.floats.begin() + begin, part.floats.begin() + end);
      }
      if (!part.integers.empty()) {
        out.integers.insert(out.integers.end(), part.integers.begin() + begin, part.integers.begin() + end);
      }
    }
  }
  return out;
}

Constant gather(const Folding& f) {
  const Constant &x = f.input(0), &wanted = f.input(1);
  const size_t axis = f.axis(f.attributes.number("axis", 0), x.dims.size());
  Dims dims(x.dims.begin(), x.dims.begin() + static_cast<std::ptrdiff_t>(axis));
  const int64_t outer = f.size_of(dims);
  dims.insert(dims.end(), wanted.dims.begin(), wanted.dims.end());
  dims.insert(dims.end(), x.dims.begin() + static_cast<std::ptrdiff_t>(axis) + 1, x.dims.end());
  f.size_of(dims);
  if (!wanted.floats.empty()) f.refuse(fmt::format("'{}' has type {}, expected integers", wanted.name, wanted.type));
  const int64_t inner = strides(x.dims)[axis];
  std::vector<size_t> places;
  for (int64_t o = 0; o < outer; ++o) {
    for (const int64_t w : wanted.integers) {
      const int64_t at = w < 0 ? w + x.dims[axis] : w;
      if (at < 0 || at >= x.dims[axis]) f.refuse(fmt::format("index {} is out of range for size {}", w, x.dims[axis]));
      for (int64_t k = 0; k < inner; ++k) places.push_back(static_cast<size_t>((o * x.dims[axis] + at) * inner + k));
    }
  }
  return picked(x, std::move(dims), places);
}

Constant slice(const Folding& f) {
  const Constant& x = f.input(0);
  const Dims starts = f.numbers(1, "starts"), ends = f.numbers(2, "ends"),
             steps = f.has(4) ? f.input(4).integers : Dims();
  Dims axes = f.numbers(3, "axes");
  for (size_t i = axes.size(); i < starts.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  if (ends.size() != starts.size() || axes.size() != starts.size()) f.refuse("starts, ends and axes differ in length");
  std::vector<Cut> cuts;
  for (const int64_t d : x.dims) cuts.push_back({0, 1, d});
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t axis = f.axis(axes[i], x.dims.size());
    const int64_t step = i < steps.size() ? steps[i] : 1;
    if (step == 0 || step < -most_step || step > most_step) f.refuse(fmt::format("invalid step {}", step));
    cuts[axis] = cut(x.dims[axis], starts[i], ends[i], step);
  }
  Dims dims;
  for (const Cut& c : cuts) dims.push_back(c.count);
  f.size_of(dims);
  const std::vector<int64_t> stride = strides(x.dims);
  std::vector<size_t> places;
  for_each_index(dims, [&](const Dims& index) {
    int64_t at = 0;
    for (size_t d = 0; d < index.size(); ++d) at += (cuts[d].start + index[d] * cuts[d].step) * stride[d];
    places.push_back(static_cast<size_t>(at));
  });
  return picked(x, std::move(dims), places);
}

Constant transpose(const Folding& f) {
  const Constant& x = f.input(0);
  Dims order = f.attributes.list("perm");
  if (order.empty()) {
    for (size_t d = x.dims.size(); d-- > 0;) order.push_back(static_cast<int64_t>(d));
  }
  Dims sorted = order, dims;
  std::ranges::sort(sorted);
  for (size_t d = 0; d < sorted.size(); ++d) {
    if (sorted.size() != x.dims.size() || sorted[d] != static_cast<int64_t>(d)) {
      f.refuse("perm is not a permutation of the dimensions");
    }
  }
  for (const int64_t d : order) dims.push_back(x.dims[static_cast<size_t>(d)]);
  const std::vector<int64_t> stride = strides(x.dims);
  std::vector<size_t> places;
  for_each_index(dims, [&](const Dims& index) {
    int64_t at = 0;
    for (size_t d = 0; d < index.size(); ++d) at += index[d] * stride[static_cast<size_t>(order[d])];
    places.push_back(static_cast<size_t>(at));
  });
  return picked(x, std::move(dims), places);
}

Constant reshape(const Folding& f) {
  const Constant& x = f.input(0);
  Dims to = f.numbers(1, "shape");
  for (size_t d = 0; d < to.size(); ++d) {
    if (to[d] == 0 && f.attributes.number("allowzero", 0) == 0 && d < x.dims.size()) to[d] = x.dims[d];
  }
  const auto open = std::ranges::find(to, -1);
  if (open != to.end()) {
    *open = 1;
    const int64_t others = f.size_of(to);
    *open = others == 0 ? 0 : x.size() / others;
  }
  if (f.size_of(to) != x.size())
    f.refuse(fmt::format("can't reshape {} values to [{}]", x.size(), fmt::join(to, ", ")));
  return reshaped(x, std::move(to));
}

Constant squeeze(const Folding& f) {
  const Constant& x = f.input(0);
  const Dims axes = f.numbers(1, "axes");
  std::vector<bool> dropped(x.dims.size(), false);
  for (const int64_t a : axes) dropped[f.axis(a, x.dims.size())] = true;
  Dims dims;
  for (size_t d = 0; d < x.dims.size(); ++d) {
    if (axes.empty() ? x.dims[d] != 1 : !dropped[d]) dims.push_back(x.dims[d]);
  }
  if (f.size_of(dims) != x.size()) f.refuse("an axis to be removed is longer than 1");
  return reshaped(x, std::move(dims));
}

Constant unsqueeze(const Folding& f) {
  const Constant& x = f.input(0);
  const Dims axes = f.numbers(1, "axes");
  const size_t rank = x.dims.size() + axes.size();
  std::vector<bool> added(rank, false);
  for (const int64_t a : axes) added[f.axis(a, rank)] = true;
  if (std::ranges::count(added, true) != std::ssize(axes)) f.refuse("an axis is listed twice");
  Dims dims;
  auto next = x.dims.begin();
  for (const bool is_new : added) dims.push_back(is_new ? 1 : *next++);
  return reshaped(x, std::move(dims));
}

}  // namespace mixgrad::models::onnx_folding
