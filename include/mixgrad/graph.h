// SPDX-License-Identifier: Apache-2.0
// The only network type, from float training through the search to export (DESIGN, decision 1).
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

/// One operator. Its quantizer slots are empty in a float network, and hold mixtures during the search and fixed
/// quantizers afterwards. Nodes with the same slot share its α and clip.
struct Node {
  std::string name;  ///< the module's path, "stack1.conv1"
  Operator op;
  std::vector<int> inputs;                   ///< indices of earlier nodes
  std::vector<Tensor> params;                ///< named by its operator (conv2d, linear: weight, bias)
  Shape shape;                               ///< of the output, without N
  Activation activation = Activation::none;  ///< before the output quantizer, whose clip replaces the bound of ReLU6
  std::shared_ptr<WeightSlot> weight_slot;
  /// The weight quantizer's scales, unless each binding computes them from the weights. Learned scales are [P, C_out]
  /// during the search and [C_out] once fixed; scales kept from before inputs were pruned are [C_out].
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
  /// Whether it passes on its input's codes under the same quantizer.
  bool passes_quantizer() const { return quantizer() == op::Quantizer::passed; }
  /// Whether its inputs share a quantizer, because it computes on their codes or passes them on.
  bool joins_quantizers() const { return passes_quantizer() || quantizer() == op::Quantizer::joint; }
  op::Channels channels() const;
  op::Overlap overlap() const;
  /// A layer's shape; throws bad_input for other nodes.
  op::LayerShape layer_shape() const;
  /// How it reads an input of this shape, if its output may run into it; throws bad_input for other nodes.
  op::Sweep sweep(const Shape& input) const;
  /// Multiply-accumulates per image; 0 unless it is a layer.
  int64_t macs() const;
  const Tensor& weight() const { return params[0]; }
  const Tensor& bias() const { return params[1]; }
};

/// The role of a parameter in its graph.
enum class Role { weight, bias, normalization, slope, weight_scale, clip, alpha };

/// Something that training changes, named after its node ("conv1.weight", "conv1.alpha_w").
struct Parameter : nn::NamedTensor {
  Role role;
};

/// θ of every slot that searches, by slot. Sampled once per step; the network and its costs use the same θ (SPEC §1).
using Thetas = std::map<const void*, Tensor>;

/// Everything that depends only on parameters, computed once per step, before the (micro-)batches run.
struct Binding {
  struct NodeBinding {
    Tensor weight;       ///< float, mixed, or integer codes of a fixed slot; the slopes of a PReLU
    Tensor bias;         ///< float, without the channels at 0 bits
    Tensor scale;        ///< [C_out] real value of one accumulator step; empty for a layer on real values
    double bound = 0;    ///< max_c Σ|q_w,c| · max|q_x|
    Tensor theta, clip;  ///< those of the output slot
  };
  std::vector<NodeBinding> nodes;

  /// A copy with a new leaf in place of every tensor that needs a gradient; shared tensors stay shared. Appends each
  /// leaf to `leaves` and its original to `sources`, which the leaf's gradient belongs to.
  Binding with_leaves(std::vector<Tensor>& leaves, std::vector<Tensor>& sources) const;
};

/// A channel of the node that makes it.
struct ChannelOrigin {
  int node;
  int64_t channel;
};

struct GraphOutput {
  int node;
  std::string name;
};

/// Nodes in execution order; node 0 is the input.
class Graph {
 public:
  std::vector<Node> nodes;
  int output = 0;                    ///< the node whose value is the result
  Normalization normalization = {};  ///< of the input of run(); the caller applies it (data::Loader)
  std::string task = {};             ///< name of the task that it is trained for (train::find_task); empty if unknown

  /// softmax(α / temperature) of every slot that searches.
  Thetas softmax_thetas(double temperature = 1.0) const;
  /// Computes what depends only on parameters: mixes weights by θ, or quantizes them to codes if their slot is fixed.
  Binding bind(const Thetas& thetas) const;
  Binding bind() const { return bind(softmax_thetas()); }
  /// Maps x [N, C, H, W] to the output node's value. A slot that searches mixes (real values); a fixed one produces
  /// integer codes, on which the following layers run exactly (SPEC §5). `values` receives every node's value: codes if
  /// its quantizer is fixed. `dtype` is the type of activations between layers: rounded real values in a network that
  /// searches, codes in a discrete one, whose results do not depend on it.
  Tensor run(const Binding& binding, const Tensor& x, std::vector<Tensor>* values = nullptr,
             DType dtype = DType::float32) const;
  /// Calls bind and run.
  Tensor forward(const Tensor& x) const { return run(bind(), x); }

  const Shape& input_shape() const { return nodes[0].shape; }
  /// The shape of what run() returns, without N: of several outputs, [values].
  const Shape& output_shape() const { return nodes[static_cast<size_t>(output)].shape; }
  /// Its outputs: the output node or, if that is op::Outputs, the nodes that it reads.
  std::vector<GraphOutput> outputs() const;
  /// The nodes whose codes the value of node `i` consists of: itself or, for operators that pass codes on, their
  /// makers.
  std::vector<int> makers_of(int i) const;
  /// The first of them. They share a quantizer, unless one of them has none.
  int quantized_by(int i) const;
  /// The quantizer of node i's value; nullptr if it has none, or its parts have different ones.
  const ActivationSlot* slot_of(int i) const;
  /// The quantizer of a node's first input, or nullptr.
  const ActivationSlot* input_slot(const Node& node) const { return slot_of(node.inputs[0]); }
  /// The scales [C_out] of a layer with fixed bit-widths. A channel's scale is raised if its bias would exceed 2^30
  /// steps s_x s_w,c of the accumulator: its weights, negligible next to that bias, then get coarser codes, or 0. While
  /// s_x is still searched, no scale is raised.
  Tensor coded_scales(const Node& node) const;
  /// The number of channels of a node whose scale is raised for their bias.
  int64_t channels_set_by_bias(const Node& node) const;
  std::vector<int> consumers(int i) const;
  /// Every slot once, in the order of first use.
  std::vector<std::shared_ptr<WeightSlot>> weight_slots() const;
  std::vector<std::shared_ptr<ActivationSlot>> activation_slots() const;
  /// Everything that training changes: weights and biases (and γ, β of batch norm), by node; learned scales of weight
  /// quantizers; learned clips; α. Parameters shared through a slot are listed once, under the first node's name.
  std::vector<Parameter> parameters() const;
  /// The parameters with one role.
  std::vector<Parameter> parameters(Role role) const;
  /// A deep copy, which shares nothing with this graph.
  Graph clone() const;
};

/// Runs `module` once in evaluation mode on a zero input [1, input_shape...] and records its ops as a graph, which
/// shares the module's parameters. Throws bad_input naming the module and op that can't be part of a graph.
Graph trace(nn::Module& module, const Shape& input_shape);

/// Folds every batch norm, y = a x + b with a = γ/σ and b = β - μ γ/σ in evaluation, into other layers, exactly:
/// - into the conv or linear layers before it (w ← a w, bias ← a bias + b): in both branches of an Add, through pooling
///   or a flatten of one position, and through what copies values (concat, select_channels, upsample2d), if nothing
///   else reads the values in between;
/// - otherwise into all its readers (w ← w a, bias ← bias + w b): linear layers, convs without padding and other batch
///   norms, also through pooling, flatten and what copies values.
/// Average pooling must not count padding, and max pooling requires a ≥ 0. Changed layers get their own tensors. A
/// batch norm that can't be folded becomes a layer of its own (op::Affine).
void fold_batch_norm(Graph& graph);
/// Fuses each ReLU or ReLU6 that is the only reader of a conv, linear or add, directly or through operators that pick
/// or copy values (max pooling, flatten, concat, ...), into that node or those nodes. Others stay separate nodes, as
/// does a ReLU6 whose quantizer is shared with larger values (in an Add): on codes it is an upper bound, the code
/// nearest to 6.
void fuse_relu(Graph& graph);
/// By node and output channel: where the channel is made. Operators that pass on or move channels keep their origins;
/// an Add takes those of its first input.
std::vector<std::vector<ChannelOrigin>> channel_origins(const Graph& graph);
/// A graph with every slot fixed to the arg max of its α (SPEC §1). It shares weights and biases with `graph`.
Graph discretize(const Graph& graph);
/// Removes the channels at 0 bits in fixed slots, with their weights and biases, from their layers and from everything
/// that reads them. Throws bad_input naming the layer whose channels can't be removed.
void remove_pruned_channels(Graph& graph);
/// Replaces every use of node `from` by node `to`; `from` loses its inputs, and drop_unused removes it.
void redirect(Graph& graph, int from, int to);
/// For each node, whether the output depends on it; always true for the input.
std::vector<bool> needed_nodes(const Graph& graph);
/// Removes the nodes that the output does not depend on, and renumbers the others.
void drop_unused(Graph& graph);

/// Saves the graph as a safetensors file with its structure in the metadata.
void save(const Graph& graph, const std::string& path);
/// Find the quantizers that a file names.
using FindActivation = std::function<std::shared_ptr<const ActivationQuantizer>(const std::string& name)>;
using FindWeight = std::function<std::shared_ptr<const WeightQuantizer>(const std::string& name)>;
Graph load_graph(const std::string& path, const FindActivation& find_activation = quant::find_activation,
                 const FindWeight& find_weight = quant::find_weight);
/// The same in memory; the tensors stay shared with `graph`.
io::Safetensors to_safetensors(const Graph& graph);
Graph graph_from(io::Safetensors content, const FindActivation& find_activation = quant::find_activation,
                 const FindWeight& find_weight = quant::find_weight);
/// Whether this is what a graph was saved as, and not only tensors.
bool holds_graph(const io::Safetensors& content);
/// A checksum (io::Checksum) of structure and tensors, not of the task.
std::string checksum(const Graph& graph);

}  // namespace mixgrad
