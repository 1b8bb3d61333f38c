// SPDX-License-Identifier: Apache-2.0
// How often images of each class were taken for each class.
#pragma once

#include <mixgrad/task.h>

#include <cstdint>
#include <string>
#include <vector>

namespace mixgrad::train {

/// Counts of (true class, class chosen), of images or of positions of label maps.
class Confusion {
 public:
  /// No classes: add() then keeps nothing.
  Confusion() = default;
  explicit Confusion(std::vector<std::string> class_names, bool of_positions = false);
  /// `counts`: [classes, classes].
  Confusion(std::vector<std::string> class_names, bool of_positions, std::vector<int64_t> counts);
  /// For class scores [classes] or [classes, H, W]; the data's names if there are as many, else numbers.
  Confusion(const Shape& output, const data::Dataset& images);

  void add(const Decisions& decisions);

  bool empty() const { return names_.empty(); }
  int64_t classes() const { return static_cast<int64_t>(names_.size()); }
  const std::string& name(int64_t c) const { return names_[static_cast<size_t>(c)]; }
  /// Whether it counts positions of maps.
  bool of_positions() const { return of_positions_; }
  int64_t count(int64_t truth, int64_t chosen) const;
  /// Counts of a class that is true, or chosen; of both.
  int64_t truths(int64_t c) const;
  int64_t choices(int64_t c) const;
  int64_t correct(int64_t c) const { return count(c, c); }
  int64_t total() const;
  /// The share of all that are correct; NaN without any.
  double accuracy() const;
  /// The share of class c that is correct, and its intersection over union; NaN where the class does not occur.
  double accuracy(int64_t c) const;
  double overlap(int64_t c) const;

 private:
  std::vector<std::string> names_;
  std::vector<int64_t> counts_;  // [classes, classes]
  bool of_positions_ = false;
};

/// The index of the largest of each row's scores, [N, classes] or [N, classes, H, W]; the first of equal ones.
std::vector<int32_t> largest_scores(const Tensor& scores);

/// JSON: {"classes": [{"name", "images", "correct", "predicted", "accuracy", "iou" for positions}, ...],
/// "confusion": [[counts by chosen class], by true class]}.
std::string to_json(const Confusion& confusion);
/// Throws bad_input for any other text; the error starts with `where`.
Confusion confusion_from_json(const std::string& text, const std::string& where);

}  // namespace mixgrad::train
