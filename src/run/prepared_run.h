// SPDX-License-Identifier: Apache-2.0
// What a search and the training of a front begin with.
#pragma once

#include "measure.h"

#include <mixgrad/run.h>

#include <functional>
#include <string>
#include <vector>

namespace mixgrad {

/// Settings and data that have been checked, and what the user has been told about them.
class PreparedRun {
 protected:
  /// `check` throws bad_input if settings and data do not fit together, and returns why the network found will have no
  /// integer form. Throws bad_input if a run that is resumed began with other data.
  PreparedRun(const RunConfig& config, train::Observer& observer, train::Checkpoints* kept,
              const Communicator* communicator,
              std::string (*check)(const RunConfig& config, const data::Splits& splits));

  /// Tells the user, and keeps it for the result.
  void note(const std::string& text);
  /// The float network's score on the test set, with notes if that or its outputs' meaning is doubtful.
  train::Score judge_float(const Graph& floating, const train::Task& task, train::Confusion& confusion);

  const Stopwatch total_ = {};
  const RunConfig& config_;
  const train::Threads threads_;
  train::Observer& observer_;
  const data::Splits splits_;
  std::string data_checksum_ = {};
  train::Checkpoints none_;
  train::Checkpoints& checkpoints_;
  const Communicator* communicator_;
  std::vector<std::string> notes_ = {};
};

/// Training images on which a layer's sensitivity is measured.
constexpr int64_t sensitivity_images = 512;
/// The loss by which layers' sensitivities are measured: on some training images. `splits` and `task` must outlive it.
std::function<double(const Graph&)> loss_on(const data::Splits& splits, const train::Task& task);
/// Networks are compared on the first `most` validation images, layers by loss_on. `splits` and `task` must outlive the
/// judge.
Judge judge_on(const data::Splits& splits, const train::Task& task, int64_t most);

}  // namespace mixgrad
