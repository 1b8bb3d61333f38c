// SPDX-License-Identifier: Apache-2.0
// A search with measured α: what each candidate would add to the loss, estimated while the network trains.
#pragma once

#include <mixgrad/search.h>
#include <mixgrad/state.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace mixgrad {

struct SlotChoice;

/// Finds bit-widths from second-order estimates of the loss instead of gradient descent on α. A candidate p of a column
/// (an output channel, a layer or a tensor) adds about
///
///     Δ_p = ½ E_images[(∂L/∂θ_p - ∂L/∂θ_P)²]        ∂L/∂θ_p = Σ g ŵ_p, P: most bits
///
/// to the loss: the quantization error weighted by the Fisher information, which stands for the Hessian (Theis et al.
/// 2018, arXiv 1801.05787, for 0 bits; Zandonati et al. 2022, arXiv 2210.08502, for bit-widths). Steps on batches of B
/// images give it as B times the mean of the squared difference of their mean gradients. It holds for small errors, and
/// for one column alone; so, where losses can be measured, it only says how the columns of a slot share the loss that
/// the whole slot adds at a candidate above 0 bits, which is measured by trial. The network starts at its most bits and
/// is always discrete (θ is one-hot). `choose` lowers the bits that add the least loss for what they save, as far as a
/// budget allows that shrinks to the targets, so weights always train for the network of the moment.
class FisherSearch {
 public:
  /// Without targets, the cost is net.regularizer(), and bits are lowered as long as that adds less to the loss than
  /// strength · the cost saved. `batch_size`: images per step. Sets every α of `net`, which must outlive this object.
  /// `loss`, if given: of a network on some images, by which each slot is tried at each candidate before the first
  /// step.
  FisherSearch(MixPrec& net, std::vector<Target> targets, double strength, int64_t batch_size,
               std::function<double(const Graph&)> loss = {});

  /// The one-hot θ of the next step: leaves that collect its gradients.
  Thetas thetas();
  /// Adds the gradients of the last thetas() to the estimates. Call after each step.
  void observe();
  /// Chooses all bit-widths anew, and sets α. At `progress` 0 the budget is the cost at the most bits; at 1, and from
  /// there on, the targets. Before, fits the learned steps of candidates that were not chosen to the weights, since no
  /// gradient has reached them.
  void choose(double progress);
  /// Sets every α to -Δ, raised for the chosen candidates: the arg max is the network of the moment.
  void set_alphas() const;
  /// The network of the moment: one-hot θ, in the order of MixPrec::nas_parameters().
  std::vector<Tensor> one_hot() const;

  /// Δ of each candidate, shaped like its α; in the order of MixPrec::nas_parameters().
  std::vector<Tensor> losses() const;
  void list_state(State& state);

 private:
  /// A slot with a choice.
  struct Measured {
    const void* slot;
    std::vector<int> bits;
    Tensor alpha;
    Tensor theta = {};
    std::vector<int64_t> chosen = {};  ///< candidate of every column
    std::vector<double> squares = {};  ///< mean of the squared differences, shaped like α
    std::vector<double> steps = {};    ///< per column: number of steps measured
    std::vector<double> whole = {};    ///< per candidate: loss that the whole slot adds, if slots have been tried

    size_t columns() const { return steps.size(); }
    size_t last() const { return bits.size() - 1; }
    Tensor one_hot() const;
  };

  void try_slots();
  Measured& of(const SlotChoice& choice);
  Tensor losses(const Measured& m) const;
  void fit_unused_steps() const;
  std::vector<Target> limits(double share) const;

  MixPrec& net_;
  std::vector<Target> targets_;
  double strength_, loss_per_square_;  // Δ over the mean squared difference
  std::function<double(const Graph&)> loss_;
  bool tried_ = false;
  std::vector<Measured> measured_;
  std::vector<double> largest_;  ///< costs at the most bits, by target
};

}  // namespace mixgrad
