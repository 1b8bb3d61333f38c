// SPDX-License-Identifier: Apache-2.0
// A front as users train it: from data to its file and the table of what can be picked from it.
#pragma once

#include <mixgrad/front.h>
#include <mixgrad/run.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mixgrad {

constexpr auto names_of(PickBy) {
  return std::to_array<Named<PickBy>>({{PickBy::losses, "losses"}, {PickBy::sensitivity, "sensitivity"}});
}

/// A trained front with what it takes to pick from it.
struct TrainedFront {
  RunConfig config;
  Front front;
  Graph floating;                            ///< the network that it started from
  train::Score floating_score = {};          ///< of that, on the test set
  train::Confusion floating_confusion = {};  ///< the same
  std::string data;                          ///< checksum of its images
};

/// The network of a front at a limit on one cost.
struct FrontPoint {
  Target budget;
  std::optional<double> uniform8;      ///< that cost at uniform 8 bits
  std::vector<double> costs = {};      ///< of RunConfig::costs
  train::Score validation = {};        ///< on the validation images
  std::vector<double> mean_bits = {};  ///< of the weights of each layer, those removed counted as 0
};

struct FrontResult : TrainedFront {
  std::vector<std::string> layers;  ///< names, in the order of FrontPoint::mean_bits
  std::vector<FrontPoint> points;   ///< over the range of each cost, smallest first
  std::vector<std::string> notes = {};
  bool interrupted = false;
  double seconds = 0;
};

/// Trains a front: for each cost a search of search_epochs, then each of its segments for finetune_epochs. Otherwise
/// like run_search.
FrontResult run_front(const RunConfig& config, train::Observer& observer, train::Checkpoints* checkpoints = nullptr,
                      const Communicator* communicator = nullptr);

/// The names of its phases, in their order.
std::vector<std::string> front_phases(const RunConfig& config);

/// The content of front.safetensors and of front.csv.
io::Safetensors front_file(const TrainedFront& front);
std::string front_table(const FrontResult& result);
/// The front in this folder. Throws bad_input if there is none.
TrainedFront read_front(const std::string& folder);
/// The settings of the front in this folder for a run that picks from it: the front's own, but no epochs, and a quarter
/// of its learning rate.
RunConfig settings_from_front(const std::string& folder);

}  // namespace mixgrad
