// SPDX-License-Identifier: Apache-2.0
// The network before the search, and what all phases of a run share.
#pragma once

#include <mixgrad/run.h>

#include <memory>
#include <string>

namespace mixgrad {

/// The schedule of a phase of `epochs` epochs. `task` must outlive it.
train::Schedule schedule(const RunConfig& config, const data::Splits& splits, const Communicator* communicator,
                         const train::Task& task, int epochs, double lr);

/// The score of a network on the test set after `phase`; `untrained`: the file that its weights are from, if this run
/// has not trained them. `confusion`, if given, receives that of a task about classes. Throws if the network's outputs
/// are not finite.
train::Score test_score(const char* phase, const Graph& network, const train::Task& task, const data::Splits& splits,
                        const std::string& untrained = "", train::Confusion* confusion = nullptr);

struct WarmedUp {
  std::unique_ptr<nn::Module> net;
  bool kept_start = false;
};
/// The float network: read from a file, or trained from the seed. A network from a file is trained further only on
/// request.
WarmedUp warmed_up(const RunConfig& config, const data::Splits& splits, const Communicator* communicator,
                   train::Observer& observer, train::Checkpoints& checkpoints, bool train_further = false);

/// The graph of a float network whose input is the normalized images of `splits`.
Graph float_graph(const RunConfig& config, nn::Module& net, const data::Splits& splits);

/// Whether the model's input is the data's unless the settings say otherwise.
bool takes_any_shape(const RunConfig& config);
/// How images are read: as the settings say, or else in the usual way for their network.
data::ReadOptions read_options(const RunConfig& config, data::ReadOptions usual);
/// Throws bad_input unless the images of `data` have the shape that `network`, named for the user, takes.
void check_image_shape(const data::Dataset& images, const std::string& data, const Shape& wanted,
                       const std::string& network);
/// The number of outputs that the weights in config.init are for; 1 without them, or if that is not their choice.
int64_t outputs_of_init(const RunConfig& config);

/// The file that the float network's weights are from, or "" if this run trains it.
std::string weights_file(const RunConfig& config);

}  // namespace mixgrad
