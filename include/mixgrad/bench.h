// SPDX-License-Identifier: Apache-2.0
// Times a training step, and a network found.
#pragma once

#include <mixgrad/data.h>
#include <mixgrad/graph.h>
#include <mixgrad/run_config.h>

#include <cstdint>
#include <string>
#include <vector>

namespace mixgrad::bench {

struct StepOptions {
  std::string model = "resnet8";
  int64_t batch = 128;
  StepKind phase = StepKind::search;  ///< of the warm-up: batch norm included
  MixPrecType scheme = MixPrecType::PER_CHANNEL;
  std::vector<int> weight_bits = {2, 4, 8};
  std::vector<int> act_bits = {2, 4, 8};
  ActivationType dtype = ActivationType::float32;  ///< of the search's step
  int threads = 0;                                 ///< 0: as many as OpenMP finds
  int steps = 20;                                  ///< that are timed
};

/// Medians over the steps.
struct StepTimes {
  double ms;  ///< forward, backward and the optimizers
  double images_per_s;
  double conv_ms;       ///< of that in convolutions
  double peak_rss_mib;  ///< of the process
};

/// Steps on random images, after a few that are not timed. Throws bad_input naming the option that can't be right.
StepTimes step(const StepOptions& options);

/// Milliseconds an image, one at a time on one thread: medians over rounds in which all three run on every image.
struct InferenceTimes {
  double float_ms;     ///< the same network without its quantizers
  double discrete_ms;  ///< as it is evaluated: codes in floats
  double integer_ms;   ///< IntegerEngine
};
/// The first `images` of the data set. Throws bad_input where the network has no integer form.
InferenceTimes inference(const Graph& discrete, const data::Dataset& dataset, int64_t images);

}  // namespace mixgrad::bench
