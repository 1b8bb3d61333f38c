// SPDX-License-Identifier: Apache-2.0
// The one network type: float, searched, exported (DESIGN, decision 1).
#pragma once

#include <mixgrad/io.h>
#include <mixgrad/nn.h>
#include <mixgrad/normalization.h>
#include <mixgrad/operators.h>
#include <mixgrad/quant.h>
#include <mixgrad/tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace mixgrad {

/// One operator. Its quantizer slots are empty in a float network, hold mixtures during the search and fixed
/// quantizers afterwards. Nodes that hold the same slot share its α and clip.
struct Node {
  std::string name;  ///< the module's path, "stack1.conv1"
  Operator op;
  std::vector<int> inputs;                   ///< indices of earlier nodes
  std::vector<Tensor> params;                ///< as its operator names them (conv2d, linear: weight, bias)
  Shape shape;                               ///< of the output, without N
  Activation activation = Activation::none;  ///< before the output quantizer, whose clip, below 6, cuts like a ReLU6
  std::shared_ptr<WeightSlot> weight_slot;
  /// The weight quantizer's scales, where it does not find them in the weights at each binding: learned, [P, C_out]
  /// while candidates mix, [C_out] once fixed; or kept from before inputs were pruned, [C_out].
  Tensor weight_scales = {};
  std::shared_ptr<ActivationSlot> output_slot;

  template <typename Op>
  const Op* as() const {
    return std::get_if<Op>(&op);
  }
  template <typename Op>
  Op* as() {
    return std::get_if<Op>(&op);
  }
  std::string_view op_name() const { return name_of(op); }
  bool is_layer() const;
  op::Quantizer quantizer() const;
  /// Hands its input's codes on under the same quantizer.
  bool passes_quantizer() const { return quantizer() == op::Quantizer::passed; }
  op::Channels channels() const;
  /// A device may write its value over an input of the same size.
  bool in_place() const;
  /// Of a layer; throws bad_input for other nodes.
  op::LayerShape layer_shape() const;
  /// Multiply-accumulates of one image; 0 for other nodes than layers.
  int64_t macs() const;
  const Tensor& weight() const { return params[0]; }
  const Tensor& bias() const { return params[1]; }
};

/// What a parameter is to its graph.
enum class Role { weight, bias, normalization, weight_scale, clip, alpha };

/// Something that training changes; its name is its node's with what it is there ("conv1.weight", "conv1.alpha_w").
struct Parameter : nn::NamedTensor {
  Role role;
};

/// θ of every slot that searches, by its slot: sampled once a step, for the network and its costs alike (SPEC §1).
using Thetas = std::map<const void*, Tensor>;

/// What depends on parameters alone: computed once per step, before the (micro-)batches run.
struct Binding {
  struct NodeBinding {
    Tensor weight;       ///< float, mixed, or integer codes of a fixed slot
    Tensor bias;         ///< float, without the channels at 0 bits
    Tensor scale;        ///< [C_out] real value of one accumulator step; no tensor for a layer on real values
    double bound = 0;    ///< max_c Σ|q_w,c| · max|q_x|
    Tensor theta, clip;  ///< of the output slot
  };
  std::vector<NodeBinding> nodes;

  /// The same with a new leaf in place of every tensor that needs a gradient; tensors that nodes share stay
  /// shared. `leaves` and `sources` receive them pairwise: a leaf's gradient belongs to its source.
  Binding with_leaves(std::vector<Tensor>& leaves, std::vector<Tensor>& sources) const;
};

/// Nodes in execution order; node 0 is the input.
class Graph {
 public:
  std::vector<Node> nodes;
  int output = 0;                    ///< the node whose value is the result
  Normalization normalization = {};  ///< of what run() takes: whoever feeds the network applies it (data::Loader)
  std::string task = {};             ///< what it is trained for, by name (train::find_task); empty: nobody said

  /// softmax(α / temperature) of every slot that searches.
  Thetas softmax_thetas(double temperature = 1.0) const;
  /// Runs the parameters' part: mixes weights by their θ, or quantizes them to codes where a slot is fixed.
  Binding bind(const Thetas& thetas) const;
  Binding bind() const { return bind(softmax_thetas()); }
  /// x [N, C, H, W] to the output node's value. A slot that searches mixes (real values); a fixed one makes integer
  /// codes, on which the following layers run exactly (SPEC §5). With `values`, every node's value is kept: codes
  /// where a fixed quantizer stands. `dtype` is how activations are kept between layers that mix; codes are float32.
  Tensor run(const Binding& binding, const Tensor& x, std::vector<Tensor>* values = nullptr,
             DType dtype = DType::float32) const;
  /// bind and run.
  Tensor forward(const Tensor& x) const { return run(bind(), x); }

  const Shape& input_shape() const { return nodes[0].shape; }
  /// The node whose output slot quantizes the value of node `i`: itself, or what a pool or flatten passes on.
  int quantized_by(int i) const;
  /// The quantizer of what a node reads first, or nullptr.
  const ActivationSlot* input_slot(const Node& node) const;
  /// [C_out]: the scales of a layer with fixed bit-widths. Its own; or more, where a bias would take more than 2^30
  /// steps of the channel's accumulator, s_x s_w,c: then the weights, too small to matter beside it, get coarser codes,
  /// or 0. Where s_x is still searched, its own.
  Tensor coded_scales(const Node& node) const;
  /// In how many channels of a node that is so.
  int64_t channels_set_by_bias(const Node& node) const;
  std::vector<int> consumers(int i) const;
  /// Every slot once, in the order of first use.
  std::vector<std::shared_ptr<WeightSlot>> weight_slots() const;
  std::vector<std::shared_ptr<ActivationSlot>> activation_slots() const;
  /// Everything that training changes: weights and biases (and γ, β of batch norm), by node; learned scales of weight
  /// quantizers; learned clips; α. What nodes share through a slot comes once, under the first one's name.
  std::vector<Parameter> parameters() const;
  /// Those of one role.
  std::vector<Parameter> parameters(Role role) const;
  /// A graph of its own: nothing shared with this one.
  Graph clone() const;
};

/// Runs `module` once in evaluation mode on a zero input [1, input_shape...] and writes down what it did.
/// Throws bad_input naming the module and op that can't be part of a graph. Parameters are shared with the module.
Graph trace(nn::Module& module, const Shape& input_shape);

/// Every batch norm, y = a x + b with a = γ/σ and b = β - μ γ/σ in evaluation, becomes part of other layers, where that
/// is exact. First of those before it: w ← a w, bias ← a bias + b of the conv or linear layer whose output it reads, of
/// both branches' behind an Add, through pooling and a flattening of one position, if nothing else reads what lies
/// between. Else of all that read it: w ← w a, bias ← bias + w b of linear layers and convs without padding, through
/// pooling and flatten, or another batch norm. Average pooling must not count padding; max pooling wants a ≥ 0, which
/// is refused if the weights are `still_trained`. Those layers get tensors of their own. Throws bad_input naming the
/// batch norm that nothing can take up, why, and what would help.
void fold_batch_norm(Graph& graph, bool still_trained = false);
/// A ReLU or ReLU6 that alone reads a conv, linear or add, directly or behind max pooling or flatten, becomes that
/// node's. Others stay nodes of their own, and so does a ReLU6 whose quantizer larger values share (in an Add): on
/// codes it is a bound, the code nearest to 6.
void fuse_relu(Graph& graph);
/// Every slot fixed to the arg max of its α (SPEC §1). Weights and biases stay shared with `graph`.
Graph discretize(const Graph& graph);
/// Removes the channels that a fixed slot keeps at 0 bits: from their layers, which lose those weights and biases, and
/// from whatever reads them. Throws bad_input naming the layer whose channels can't leave.
void remove_pruned_channels(Graph& graph);
/// Every use of node `from` becomes a use of node `to`; `from` reads nothing any more, and is for drop_unused.
void redirect(Graph& graph, int from, int to);
/// By node: whether it leads to the output; the input always counts.
std::vector<bool> needed_nodes(const Graph& graph);
/// Removes the nodes that no longer lead to the output, renumbering.
void drop_unused(Graph& graph);

/// The graph as a safetensors file with the structure in its metadata; `load_graph` gives it back.
void save(const Graph& graph, const std::string& path);
/// `find_*` give quantizers by the names that a graph was saved with.
using FindActivation = std::function<std::shared_ptr<const ActivationQuantizer>(const std::string& name)>;
using FindWeight = std::function<std::shared_ptr<const WeightQuantizer>(const std::string& name)>;
Graph load_graph(const std::string& path, const FindActivation& find_activation = quant::find_activation,
                 const FindWeight& find_weight = quant::find_weight);
/// The same in memory; the tensors stay shared with `graph`.
io::Safetensors to_safetensors(const Graph& graph);
Graph graph_from(io::Safetensors content, const FindActivation& find_activation = quant::find_activation,
                 const FindWeight& find_weight = quant::find_weight);
/// Tells networks apart (io::Checksum) by structure and tensors, whatever they were trained for.
std::string checksum(const Graph& graph);

}  // namespace mixgrad
