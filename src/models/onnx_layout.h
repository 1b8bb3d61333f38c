// SPDX-License-Identifier: Apache-2.0
// The order of axes and values: how a tensor in the file differs from the corresponding tensor here.
#pragma once

#include "onnx_file.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mixgrad::models {

/// One of our tensors is an image [N, C, H, W] or features [N, F]. The file has the same values, but with its own axes
/// in its own order: each axis after N combines some of ours, the outermost first. For example, [N, H, W, C] flattened
/// to one axis combines H, W and C. Axes of length 1 have no order: an axis of the file that combines none of ours has
/// length 1.
struct Layout {
  std::vector<int64_t> extents;        ///< sizes of our axes, without N: {C, H, W} or {F}
  std::vector<std::vector<int>> axes;  ///< by axis of the file after N: those of ours, longer than 1, that it combines

  /// An image with the file's axes ordered by `permutation` of ours: {1, 2, 0} for [N, H, W, C].
  static Layout image(std::vector<int64_t> chw, const std::vector<int>& permutation = {0, 1, 2});
  /// Features along the last of `rank` axes of the file; the others have length 1.
  static Layout features(int64_t count, size_t rank = 1);

  bool is_image() const { return extents.size() == 3; }
  /// Of signals [N, C, L] in the file, images of one row or one column here: our axis of L, 2 or 1.
  std::optional<size_t> signal_axis() const;
  int64_t positions() const { return is_image() ? extents[1] * extents[2] : 1; }
  int64_t size() const;
  /// The shape in the file, without N.
  std::vector<int64_t> dims() const;
  /// Whether the file's axes are [N, C, H, W], or that order under `permutation`.
  bool is(const std::vector<int>& permutation) const;
  /// The order of the file's image axes: channels first ({0, 1, 2}) or last ({1, 2, 0}), or {0, axis} of signals [N, C,
  /// L]; empty if it is another.
  std::vector<int> permutation() const;
  /// Our axes longer than 1, in the file's order.
  std::vector<int> order() const;
  /// The file's only axis longer than 1, or the last axis if there is none; unset if there are several.
  std::optional<size_t> only_axis() const;
  /// For every value in the file's order, its index among ours (row-major: C, H, W).
  std::vector<int64_t> places() const;

  /// The same values with other axes in the file; unset if these would split one of ours.
  std::optional<Layout> reshaped(const std::vector<int64_t>& dims) const;

  /// A constant that the file broadcasts to this tensor, as one value per channel or feature of ours, in the file's
  /// order; unset if it varies along other axes or would enlarge the tensor.
  std::optional<std::vector<float>> along_channels(const onnx_file::Constant& constant) const;
};

/// Orders of features. Flattening images fixes an order; the features of a linear layer can take any order until they
/// are combined with a fixed one.
class Orders {
 public:
  size_t free();
  /// places[k]: index among ours of the file's feature k.
  size_t fixed(std::vector<int64_t> places);
  /// Makes both the same order; returns false if they are fixed and differ.
  bool unite(size_t a, size_t b);
  /// places[k]: index among ours of the file's feature k. A free order becomes the file's own.
  const std::vector<int64_t>& settled(size_t order, int64_t features);
  /// Whether the order is the file's own; a free one becomes so.
  bool settle_as_in_file(size_t order, int64_t features);

  /// `values`, rows of `columns` in the file's order, rearranged to ours.
  std::vector<float> arranged(size_t order, std::vector<float> values, int64_t columns = 1) const;
  /// The same for the columns of every row.
  std::vector<float> columns_arranged(size_t order, std::vector<float> values, int64_t columns) const;

 private:
  size_t find(size_t order) const;
  const std::vector<int64_t>& places(size_t order) const { return places_[find(order)]; }

  std::vector<size_t> parents_;
  std::vector<std::vector<int64_t>> places_;  // by root; empty: free
};

}  // namespace mixgrad::models
