// SPDX-License-Identifier: Apache-2.0
// How far the output of an operator may run into its input.
#include <src/internal/memory_plan.h>

#include <algorithm>

namespace mixgrad::device {
namespace {

/// The lowest input positions that a sweep reads.
class Reads {
 public:
  explicit Reads(const op::Sweep& s) : sweep_(s), end_(s.input[0] * s.input[1]) {
    rows_.assign(static_cast<size_t>(s.output[0]) + 1, end_);
    for (auto y = static_cast<size_t>(s.output[0]); y-- > 0;)
      rows_[y] = std::min(rows_[y + 1], at(static_cast<int64_t>(y), 0));
  }

  /// The lowest for the output positions from `position` on; the input's size if they read nothing.
  int64_t from(int64_t position) const {
    const int64_t y = position / sweep_.output[1], x = position % sweep_.output[1];
    return std::min(at(y, x), rows_[static_cast<size_t>(y) + 1]);
  }
  int64_t end() const { return end_; }

 private:
  int64_t at(int64_t y, int64_t x) const {
    const int64_t row = first(0, y), column = first(1, x);
    return row < sweep_.input[0] && column < sweep_.input[1] ? row * sweep_.input[1] + column : end_;
  }
  int64_t first(size_t d, int64_t i) const {
    const int64_t at = std::max<int64_t>(0, i * sweep_.stride[d] - sweep_.before[d]);
    return (at + sweep_.apart[d] - 1) / sweep_.apart[d];
  }

  op::Sweep sweep_;
  int64_t end_;
  std::vector<int64_t> rows_;  // the lowest for a row and those after it
};

}  // namespace

Gap gap_of(const op::Sweep& sweep, Schedule schedule, double input, double output) {
  const int64_t all = sweep.output[0] * sweep.output[1];
  if (schedule == Schedule::depthwise) {
    op::Sweep new_rows = sweep;  // the others are in the ring
    new_rows.before = {sweep.before[0] - (sweep.rows - sweep.stride[0]), 0};
    const Reads reads(new_rows);
    const auto is_read = [&](int64_t written) { return reads.from(written) >= std::min(written, reads.end()); };
    for (int64_t written = sweep.output[1]; written < all; written += sweep.output[1])
      if (!is_read(written)) return {.written = all};
    return {.at_start = true};
  }
  const Reads reads(sweep);
  const int64_t positions = schedule == Schedule::singly ? 1 : patch_positions(false, all);
  const bool reads_first = schedule != Schedule::grouped;
  Gap gap;
  double most = 0;
  for (int64_t at = reads_first ? positions : 0; at < all; at += positions) {
    const int64_t unread = reads.from(at), written = reads_first ? at : std::min(at + positions, all);
    const double bytes = static_cast<double>(written) * output - static_cast<double>(unread) * input;
    if (unread == reads.end() || bytes <= most) continue;
    most = bytes;
    gap = {.written = written, .unread = unread};
  }
  return gap;
}

}  // namespace mixgrad::device
