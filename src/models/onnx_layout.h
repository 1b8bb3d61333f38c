// SPDX-License-Identifier: Apache-2.0
// How a tensor of the file and the one that stands for it here differ: in the order of their axes and values.
#pragma once

#include "onnx_file.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mixgrad::models {

/// A tensor of ours is an image [N, C, H, W] or features [N, F]. The file sees the same values under axes of its own,
/// in an order of its own: behind N, each of its axes runs through some of ours, the outermost first. [N, H, W, C]
/// flattened to one axis runs through H, W and C. Axes of length 1 have no order: an axis of the file that runs through
/// none has length 1.
struct Layout {
  std::vector<int64_t> extents;        ///< of our axes, without N: {C, H, W} or {F}
  std::vector<std::vector<int>> axes;  ///< of every axis of the file behind N: which of ours, longer than 1

  /// As [N, C, H, W], the order in which `permutation` names our axes: {1, 2, 0} for [N, H, W, C].
  static Layout image(std::vector<int64_t> chw, const std::vector<int>& permutation = {0, 1, 2});
  /// Features as the last of `rank` axes of the file, the others of length 1.
  static Layout features(int64_t count, size_t rank = 1);

  bool is_image() const { return extents.size() == 3; }
  int64_t positions() const { return is_image() ? extents[1] * extents[2] : 1; }
  int64_t size() const;
  /// What the file sees, without N.
  std::vector<int64_t> dims() const;
  /// Whether the file sees [N, C, H, W], or with another permutation its axes in that order.
  bool is(const std::vector<int>& permutation) const;
  /// Our axes that are longer than 1, in the file's order.
  std::vector<int> order() const;
  /// The file's only axis that is longer than 1, or the last one where none is; nothing where there are several.
  std::optional<size_t> only_axis() const;
  /// For every value in the file's order, where it stands among ours (row-major: C, H, W).
  std::vector<int64_t> places() const;

  /// The same values under other axes of the file; none when these don't divide between ours.
  std::optional<Layout> reshaped(const std::vector<int64_t>& dims) const;

  /// What a constant that meets this tensor (by the file's rules of broadcasting) is to each of our channels or
  /// features, in the file's order; none when it varies along other axes, or would make the tensor larger.
  std::optional<std::vector<float>> along_channels(const onnx_file::Constant& constant) const;
};

/// Orders of features. Flattened images fix an order; what a linear layer makes can have any, until it meets a fixed
/// one.
class Orders {
 public:
  size_t free();
  /// places[k]: where the file's feature k stands among ours.
  size_t fixed(std::vector<int64_t> places);
  /// From now on both are one; false: they are fixed, and differ.
  bool unite(size_t a, size_t b);
  /// Whether the order is the file's own; one that is still free becomes so.
  bool settle_as_in_file(size_t order, int64_t features);

  /// `values`, rows of so many in the file's order, in ours.
  std::vector<float> arranged(size_t order, std::vector<float> values, int64_t columns = 1) const;
  /// The same of every row's columns.
  std::vector<float> columns_arranged(size_t order, std::vector<float> values, int64_t columns) const;

 private:
  size_t find(size_t order) const;
  const std::vector<int64_t>& places(size_t order) const { return places_[find(order)]; }

  std::vector<size_t> parents_;
  std::vector<std::vector<int64_t>> places_;  // of every order at its root; empty: free
};

}  // namespace mixgrad::models
