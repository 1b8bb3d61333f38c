// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/observer.h>

#include <cstdint>
#include <string>

namespace mixgrad {

/// An event file for TensorBoard: the numbers of metrics.jsonl, and histograms of α, θ and the parameters.
class TensorBoard {
 public:
  /// The file is made by the first epoch. Throws bad_input if `folder` can't be made or written to, or this build can't
  /// write event files.
  explicit TensorBoard(const std::string& folder);

  /// Adds an epoch as step `step`, on disk when this returns; TensorBoard then forgets what other files in the folder
  /// say of this and later steps, if it is the first one here. Throws failed_run.
  void add(const train::EpochReport& epoch, int64_t step);

 private:
  std::string file_;
  int64_t bytes_ = 0;
};

}  // namespace mixgrad
