// SPDX-License-Identifier: Apache-2.0
// The network before its search, and what all phases of a run have in common.
#pragma once

#include <mixgrad/run.h>

#include <memory>
#include <string>

namespace mixgrad {

/// Of a phase of `epochs` epochs.
train::Schedule schedule(const RunConfig& config, const data::Splits& splits, const Communicator* communicator,
                         int epochs, double lr);

/// On the test set, of a network that came out of `phase`; `untrained`: where its weights are from, if not from
/// training here. Throws where the network's outputs are not finite.
train::Score test_score(const char* phase, const Graph& network, const data::Splits& splits,
                        const std::string& untrained = "");

struct WarmedUp {
  std::unique_ptr<nn::Module> net;
  bool kept_start = false;
};
/// The float network: read from a file, or trained from the seed. One made elsewhere is trained further only on wish.
WarmedUp warmed_up(const RunConfig& config, const data::Splits& splits, const Communicator* communicator,
                   train::Observer& observer, train::Checkpoints& checkpoints, bool train_further = false);

/// The graph of a float network that takes the images of `splits` as they are normalized.
Graph float_graph(const RunConfig& config, nn::Module& net, const data::Splits& splits);

/// The file that the float network's weights are from, if it is not trained here.
std::string weights_file(const RunConfig& config);

}  // namespace mixgrad
