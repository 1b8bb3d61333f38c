// SPDX-License-Identifier: Apache-2.0
// Cost models: what a network costs on a device, differentiable in every α (SPEC §6).
#pragma once

#include <mixgrad/graph.h>
#include <mixgrad/tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace mixgrad::cost {

/// Bit-widths and their probabilities: a mixture's θ, or one-hot.
struct Precisions {
  std::vector<int> bits;
  Tensor theta;  ///< [P], or [P, C_out] for weights chosen per channel

  /// E[b] = Σ θ_p b_p, summed over channels where θ has them.
  Tensor expected_bits() const;
};

/// One conv or linear layer, as a cost model sees it.
struct Layer {
  std::string name;
  int64_t c_in, c_out, groups;
  int64_t kernel_positions;  ///< K_h K_w
  int64_t output_positions;  ///< OH OW
  Precisions weights, input;

  /// Weights per output channel: K_h K_w C_in / groups.
  double weights_per_channel() const { return static_cast<double>(kernel_positions * c_in / groups); }
  /// Σ_c E[b_w,c]
  Tensor weight_bits_over_channels() const;
};

/// A cost model: a name, what it counts, and one function, which may use any differentiable op.
struct Model {
  std::string name;
  std::string unit;
  std::function<Tensor(const Layer&)> of_layer;
};

Model size();
Model macs();

/// The built-in model called `name`; bad_input lists the names when there is none.
Model find(const std::string& name);
std::vector<std::string> names();

/// Σ over layers at θ = softmax(α / temperature). A scalar on the tape.
Tensor soft(const Graph& graph, const Model& model, double temperature);
/// The same of the arg max precisions, summed in double: what reports show.
double discrete(const Graph& graph, const Model& model);
/// The same with every weight and activation at `bits`.
double uniform(const Graph& graph, const Model& model, int bits);

}  // namespace mixgrad::cost
