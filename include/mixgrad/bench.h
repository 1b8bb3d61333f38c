// SPDX-License-Identifier: Apache-2.0
// Times a training step, and inference with a network found by a search.
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
  std::vector<int> input_shape = {};  ///< C, H, W of an image, as RunConfig::input_shape
  int64_t batch = 128;
  /// fine_tune: of a discrete network with random bit-widths; warm_up: of the float network, batch norm included.
  StepKind phase = StepKind::search;
  MixPrecType scheme = MixPrecType::PER_CHANNEL;
  std::vector<int> weight_bits = {2, 4, 8};
  std::vector<int> act_bits = {2, 4, 8};
  WeightSteps weight_quantizer = WeightSteps::minmax;
  WeightGrid weight_grid = WeightGrid::odd;
  ActivationType dtype = ActivationType::float32;  ///< not for the warm-up
  int threads = 0;                                 ///< 0: OpenMP's default
  int steps = 20;                                  ///< timed steps
};

/// Medians over the steps.
struct StepTimes {
  double ms;  ///< forward, backward and the optimizers
  double images_per_s;
  double conv_ms;         ///< part of `ms` spent in convolutions
  double direct_ms;       ///< the same step with direct convolutions only: nothing by Winograd's algorithm
  double direct_conv_ms;  ///< part of `direct_ms` spent in convolutions
  double peak_rss_mib;    ///< of the whole process
};

/// Times steps on random images after a few untimed ones; every other step has direct convolutions only. Throws
/// bad_input naming an invalid option.
StepTimes step(const StepOptions& options);

/// Milliseconds of CPU time per image on one thread: the least of all runs, which other processes lengthen the least.
/// The three take turns.
struct InferenceTimes {
  double float_ms;     ///< the network without its quantizers
  double discrete_ms;  ///< integer codes in floats, as in evaluation
  double integer_ms;   ///< IntegerEngine
};
/// Runs the first `images` of the data set, `batch` at a time. Throws bad_input if the network has no integer form.
InferenceTimes inference(const Graph& discrete, const data::Dataset& dataset, int64_t images, int64_t batch = 1);

}  // namespace mixgrad::bench
