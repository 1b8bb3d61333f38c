// SPDX-License-Identifier: Apache-2.0
#include "onnx_layout.h"

#include <algorithm>
#include <numeric>

namespace mixgrad::models {

Layout Layout::image(std::vector<int64_t> chw, const std::vector<int>& permutation) {
  Layout out{.extents = std::move(chw), .axes = {}};
  for (const int a : permutation) {
    out.axes.emplace_back();
    if (out.extents[static_cast<size_t>(a)] > 1) out.axes.back().push_back(a);
  }
  return out;
}

Layout Layout::features(int64_t count, size_t rank) {
  Layout out{.extents = {count}, .axes = std::vector<std::vector<int>>(rank)};
  if (count > 1) out.axes.back() = {0};
  return out;
}

int64_t Layout::size() const {
  return std::accumulate(extents.begin(), extents.end(), int64_t{1}, std::multiplies<>());
}

std::vector<int64_t> Layout::dims() const {
  std::vector<int64_t> out;
  for (const std::vector<int>& axis : axes) {
    out.push_back(1);
    for (const int a : axis) out.back() *= extents[static_cast<size_t>(a)];
  }
  return out;
}

bool Layout::is(const std::vector<int>& permutation) const {
  return is_image() && axes == image(extents, permutation).axes;
}

std::vector<int> Layout::permutation() const {
  if (const auto signal = signal_axis()) return {0, static_cast<int>(*signal)};
  for (const std::vector<int>& p : {std::vector<int>{0, 1, 2}, std::vector<int>{1, 2, 0}}) {
    if (is(p)) return p;
  }
  return {};
}

std::optional<size_t> Layout::signal_axis() const {
  if (is({0, 2}) && extents[1] == 1) return 2;
  if (is({0, 1}) && extents[2] == 1) return 1;
  return std::nullopt;
}

std::vector<int> Layout::order() const {
  std::vector<int> out;
  for (const std::vector<int>& axis : axes) out.insert(out.end(), axis.begin(), axis.end());
  return out;
}

std::optional<size_t> Layout::only_axis() const {
  std::optional<size_t> found;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i].empty()) continue;
    if (found) return std::nullopt;
    found = i;
  }
  return found ? found : std::max<size_t>(1, axes.size()) - 1;
}

std::vector<int64_t> Layout::places() const {
  std::vector<int64_t> strides(extents.size(), 1);
  for (size_t d = extents.size(); d-- > 1;) strides[d - 1] = strides[d] * extents[d];
  std::vector<int64_t> out = {0};
  for (const int a : order()) {  // from the outermost axis inwards
    std::vector<int64_t> finer;
    for (const int64_t place : out) {
      for (int64_t i = 0; i < extents[static_cast<size_t>(a)]; ++i) {
        finer.push_back(place + i * strides[static_cast<size_t>(a)]);
      }
    }
    out = std::move(finer);
  }
  return out;
}

std::optional<Layout> Layout::reshaped(const std::vector<int64_t>& dims) const {
  const std::vector<int> sequence = order();
  Layout out{.extents = extents, .axes = {}};
  auto next = sequence.begin();
  for (const int64_t d : dims) {
    out.axes.emplace_back();
    int64_t length = 1;
    while (length < d && next != sequence.end()) {
      length *= extents[static_cast<size_t>(*next)];
      out.axes.back().push_back(*next++);
    }
    if (length != d) return std::nullopt;
  }
  return next == sequence.end() ? std::optional(out) : std::nullopt;
}

std::optional<std::vector<float>> Layout::along_channels(const onnx_file::Constant& c) const {
  const size_t rank = axes.size() + 1;  // with N
  const auto channels = static_cast<size_t>(extents[0]);
  if (c.floats.empty() || c.dims.size() > rank) return std::nullopt;
  const std::vector<int64_t> file = dims();
  bool varies = false;
  for (size_t i = 0; i < c.dims.size(); ++i) {
    if (c.dims[i] == 1) continue;
    const size_t axis = rank - c.dims.size() + i;
    if (axis == 0 || c.dims[i] != file[axis - 1] || axes[axis - 1] != std::vector<int>{0}) return std::nullopt;
    varies = true;
  }
  return varies ? c.floats : std::vector<float>(channels, c.floats[0]);
}

size_t Orders::free() { return fixed({}); }

size_t Orders::fixed(std::vector<int64_t> places) {
  parents_.push_back(parents_.size());
  places_.push_back(std::move(places));
  return parents_.size() - 1;
}

size_t Orders::find(size_t order) const {
  while (parents_[order] != order) order = parents_[order];
  return order;
}

bool Orders::unite(size_t a, size_t b) {
  const size_t ra = find(a), rb = find(b);
  if (ra == rb) return true;
  if (!places_[ra].empty() && !places_[rb].empty() && places_[ra] != places_[rb]) return false;
  const bool keep_a = !places_[ra].empty();
  parents_[keep_a ? rb : ra] = keep_a ? ra : rb;
  return true;
}

const std::vector<int64_t>& Orders::settled(size_t order, int64_t features) {
  if (places(order).empty()) settle_as_in_file(order, features);
  return places(order);
}

bool Orders::settle_as_in_file(size_t order, int64_t features) {
  std::vector<int64_t> as_in_file(static_cast<size_t>(features));
  std::iota(as_in_file.begin(), as_in_file.end(), int64_t{0});
  return unite(order, fixed(std::move(as_in_file)));
}

std::vector<float> Orders::arranged(size_t order, std::vector<float> values, int64_t columns) const {
  const std::vector<int64_t>& to = places(order);
  if (to.empty()) return values;
  std::vector<float> out(values.size());
  for (size_t row = 0; row < to.size(); ++row) {
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(row) * columns, columns, out.begin() + to[row] * columns);
  }
  return out;
}

std::vector<float> Orders::columns_arranged(size_t order, std::vector<float> values, int64_t columns) const {
  const std::vector<int64_t>& to = places(order);
  if (to.empty()) return values;
  std::vector<float> out(values.size());
  for (size_t k = 0; k < values.size(); ++k) {
    const size_t column = k % static_cast<size_t>(columns);
    out[k - column + static_cast<size_t>(to[column])] = values[k];
  }
  return out;
}

}  // namespace mixgrad::models
