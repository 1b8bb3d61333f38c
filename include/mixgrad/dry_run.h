// SPDX-License-Identifier: Apache-2.0
// A dry run: what a search would do and take, found out in seconds.
#pragma once

#include <mixgrad/observer.h>
#include <mixgrad/run_config.h>
#include <mixgrad/search.h>
#include <mixgrad/tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mixgrad {

struct DryRun {
  struct Phase {
    std::string name;  ///< as in train::EpochReport
    int epochs;
    int64_t steps;   ///< of an epoch
    double step_ms;  ///< median of the steps tried
    double seconds;  ///< of all epochs, validation included
  };
  /// A target and, unless the method makes all weights alike, what networks of the run's candidates cost.
  struct Bound {
    Target target;
    std::optional<CostRange> range;
  };

  Shape image;  ///< C, H, W
  int64_t training_images, validation_images, test_images;
  std::vector<Phase> phases = {};  ///< those that train
  double seconds = 0;              ///< of the whole run, about
  double peak_rss_mib = 0;         ///< of this process, which has done all that takes memory
  std::vector<Bound> targets = {};
};

/// Prepares the run, checks all that a run checks before it trains, and takes some steps of each phase, with the run's
/// own data, settings and threads. Nothing is written. Early stopping (`patience`) is not foreseen. Throws like
/// run_search.
DryRun dry_run(const RunConfig& config, train::Observer& observer);

}  // namespace mixgrad
