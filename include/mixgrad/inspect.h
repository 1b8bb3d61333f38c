// SPDX-License-Identifier: Apache-2.0
// Looking inside: a network's nodes and quantizers, why a search decided as it did, a training step op by op. Each is a
// struct with a text of at most 100 columns, JSON, and where it is a graph, a picture in Graphviz's language.
#pragma once

#include <mixgrad/graph.h>
#include <mixgrad/run.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mixgrad::inspect {

// --- a network ------------------------------------------------------------------------------------------------

/// One slot: the nodes that hold it share its α (and clip), or its fixed choice.
struct Quantizer {
  std::string id;         ///< "w1" of weights, "a1" of activations
  std::vector<int> bits;  ///< candidates; once fixed, those in use
  int64_t channels = 0;   ///< that choose for themselves; 0: one choice for all
  bool fixed = false;
  bool is_signed = false;  ///< of activations
  std::vector<std::string> nodes;
};

struct NodeView {
  std::string name, op;                            ///< op with the ReLU that it took in: "conv2d + relu"
  std::vector<int> inputs;                         ///< indices of nodes
  Shape shape;                                     ///< of the output, without N
  int64_t weights = 0, macs = 0;                   ///< multiply-accumulates per image
  std::string weight_quantizer, output_quantizer;  ///< ids; empty: stays float, or has none of its own
};

struct GraphView {
  std::vector<NodeView> nodes;
  std::vector<Quantizer> quantizers;
};
GraphView view(const Graph& graph);

/// The network that `config` would search for `classes` classes, its quantizers in place; `as_traced`: batch norms not
/// folded, no quantizers.
Graph network(const RunConfig& config, int64_t classes, bool as_traced);

std::string text(const GraphView& view);
std::string json(const GraphView& view);
std::string dot(const GraphView& view);

// --- a decision -----------------------------------------------------------------------------------------------

/// One candidate in one epoch. A pull is -gradient, the direction in which it moves α; where channels choose, all are
/// means over the channels.
struct Candidate {
  int bits;
  double alpha, theta, task_pull, cost_pull;
  int64_t chosen;  ///< channels whose arg max it is; 0 or 1 where there is one choice
};

/// An α's way through the search.
struct Story {
  std::string alpha;               ///< "conv.alpha_w"
  std::vector<std::string> nodes;  ///< that share it
  int64_t channels = 0;            ///< that choose for themselves; 0: one choice for all
  struct Epoch {
    int epoch;  ///< from 0
    double tau;
    std::vector<Candidate> candidates;
  };
  std::vector<Epoch> epochs;

  /// The last epoch's θ and choices, with the pulls' means over all epochs.
  std::vector<Candidate> outcome() const;
};

/// A layer in the exported network: not always at the arg max of its α, when there are targets.
struct Exported {
  std::map<int, int64_t> channels;  ///< by their weights' bits; 0: removed
  std::optional<int> output_bits;
};

/// What a run's history says of one layer: its weights and its output, where they had a choice to make.
struct Why {
  std::string layer;
  std::optional<Story> weights, output;
  std::optional<Exported> exported;  ///< once the run is finished
  std::optional<Repair> repair;      ///< likewise, of a run with targets: how the whole network met them
};
/// From history.jsonl in folder `run`. Throws bad_input naming the layers there are when there is none called `layer`.
Why why(const std::string& run, const std::string& layer);

std::string text(const Why& why);
std::string json(const Why& why);

// --- a step ---------------------------------------------------------------------------------------------------

/// A tensor's values; `largest_gradient` is max |∂loss/∂value|, nothing where none arrived.
struct Values {
  Shape shape;
  double lowest = 0, highest = 0;  ///< NaN when one of the values is
  std::optional<double> largest_gradient;
};

/// A tensor that no op of the step has made: a parameter, an α, a clip, images.
struct Leaf {
  std::string name;
  Values values;
};

struct TapeOp {
  std::string op, node;           ///< node: the layer or module that ran it; empty where none did
  std::vector<std::string> from;  ///< "%3" for the result of op 3, or a leaf's name; "constant" for any other
  std::vector<Shape> shapes;      ///< of these
  Values output;
  double forward_ms = 0;   ///< since the op before
  double backward_ms = 0;  ///< 0 where no gradient arrived
};

struct TapeView {
  std::vector<Leaf> leaves;
  std::vector<TapeOp> ops;  ///< in the order in which they ran
  double task_loss = 0, regularization = 0;
};

struct TapeOptions {
  StepKind phase = StepKind::search;  ///< of the warm-up: the module as it stands, batch norms included
  int64_t images = 8;                 ///< first of the training set: one micro-batch
};
/// One training step of `config`'s network, by one thread. Throws bad_input for settings that can't be right.
TapeView tape(const RunConfig& config, const TapeOptions& options);

std::string text(const TapeView& view);
std::string json(const TapeView& view);
std::string dot(const TapeView& view);

}  // namespace mixgrad::inspect
