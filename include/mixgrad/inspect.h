// SPDX-License-Identifier: Apache-2.0
// Views of a network and its quantizers, of the reasons for a choice of bits, and of the ops of one training step. Each
// is a struct that renders as text of at most 100 columns, as JSON and, if it is a graph, in Graphviz's language.
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

/// One slot: the nodes that hold it share its α (and clip), or its fixed bit-width.
struct Quantizer {
  std::string id;         ///< "w1" for weights, "a1" for activations
  std::vector<int> bits;  ///< candidates; once fixed, those in use
  int64_t channels = 0;   ///< that choose independently; 0: one choice for all
  bool fixed = false;
  bool is_signed = false;  ///< activations only
  std::vector<std::string> nodes;
};

struct NodeView {
  std::string name, op;                            ///< op with its fused ReLU: "conv2d + relu"
  std::vector<int> inputs;                         ///< indices of nodes
  Shape shape;                                     ///< output, without N
  int64_t weights = 0, macs = 0;                   ///< multiply-accumulates per image
  std::string weight_quantizer, output_quantizer;  ///< ids; empty: float, or shares that of its input
};

struct GraphView {
  std::vector<NodeView> nodes;
  std::vector<Quantizer> quantizers;
  std::string input;  ///< what pixels become, in words; empty: as in the data
};
GraphView view(const Graph& graph);

struct Network {
  Graph graph;
  std::string input;  ///< as in GraphView
};
/// The network that `config` would search for `classes` classes, with its quantizers. `as_traced`: before folding batch
/// norms, without quantizers.
Network network(const RunConfig& config, int64_t classes, bool as_traced);
GraphView view(const Network& network);

std::string text(const GraphView& view);
std::string json(const GraphView& view);
std::string dot(const GraphView& view);

// --- a decision -----------------------------------------------------------------------------------------------

/// One candidate in one epoch. A pull is -gradient, the direction in which it moves α. With per-channel choice, values
/// are means over the channels.
struct Candidate {
  int bits;
  double alpha, theta;
  double task_pull = 0, cost_pull = 0;  ///< of a trained α
  std::optional<double> loss = {};      ///< what it would add to the task's loss, summed over the channels; if measured
  int64_t chosen = 0;                   ///< number of channels with this arg max; 0 or 1 for a single choice
};

/// The history of one α during the search.
struct Story {
  std::string alpha;               ///< "conv.alpha_w"
  std::vector<std::string> nodes;  ///< that share it
  int64_t channels = 0;            ///< that choose independently; 0: one choice for all
  struct Epoch {
    int epoch;  ///< from 0
    double tau;
    std::vector<Candidate> candidates;
  };
  std::vector<Epoch> epochs;

  /// θ and choices of the last epoch, with the pulls averaged over all epochs.
  std::vector<Candidate> outcome() const;
};

/// A layer of the exported network, which may differ from the arg max of its α if there are targets.
struct Exported {
  std::map<int, int64_t> channels;  ///< channel counts by weight bits; 0 bits: removed
  std::optional<int> output_bits;
};

/// What a run's history records of one layer: its weights and its output, if they were searched.
struct Why {
  std::string layer;
  std::optional<Story> weights, output;
  std::optional<Exported> exported;  ///< set once the run is finished
  std::optional<Repair> repair;      ///< set once a run with targets is finished: how the network met them
};
/// Names of the layers whose bits the search in folder `run` chooses. Throws bad_input like read_history.
std::vector<std::string> searched_layers(const std::string& run);
/// Reads history.jsonl in folder `run`. Throws bad_input, listing the layers, if there is none called `layer`.
Why why(const std::string& run, const std::string& layer);

std::string text(const Why& why);
std::string json(const Why& why);

// --- a step ---------------------------------------------------------------------------------------------------

/// Statistics of a tensor. `largest_gradient` is max |∂loss/∂value|, unset if no gradient arrived.
struct Values {
  Shape shape;
  double lowest = 0, highest = 0;  ///< NaN if any value is
  std::optional<double> largest_gradient;
};

/// A tensor that no op of the step computed: a parameter, an α, a clip, images.
struct Leaf {
  std::string name;
  Values values;
};

struct TapeOp {
  std::string op, node;           ///< node: the layer or module that ran it, or empty
  std::vector<std::string> from;  ///< inputs: "%3" for the result of op 3, a leaf's name, or "constant"
  std::vector<Shape> shapes;      ///< of the inputs
  Values output;
  double forward_ms = 0;   ///< since the previous op
  double backward_ms = 0;  ///< 0 if no gradient arrived
};

struct TapeView {
  std::vector<Leaf> leaves;
  std::vector<TapeOp> ops;  ///< in execution order
  double task_loss = 0, regularization = 0;
};

struct TapeOptions {
  /// fine_tune: the network that a search without training would find; warm_up: the original module, including batch
  /// norms.
  StepKind phase = StepKind::search;
  int64_t images = 8;  ///< the first of the training set, as one micro-batch
};
/// One training step of `config`'s network on one thread. Throws bad_input for invalid settings.
TapeView tape(const RunConfig& config, const TapeOptions& options);

std::string text(const TapeView& view);
std::string json(const TapeView& view);
std::string dot(const TapeView& view);

}  // namespace mixgrad::inspect
