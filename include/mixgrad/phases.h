// SPDX-License-Identifier: Apache-2.0
// The phases of a run and their schedules: float warm-up, search or front, fine-tuning.
#pragma once

#include <mixgrad/checkpoints.h>
#include <mixgrad/communicator.h>
#include <mixgrad/cost.h>
#include <mixgrad/data.h>
#include <mixgrad/front.h>
#include <mixgrad/graph.h>
#include <mixgrad/nn.h>
#include <mixgrad/observer.h>
#include <mixgrad/optim.h>
#include <mixgrad/search.h>
#include <mixgrad/task.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace mixgrad::train {

struct Schedule {
  int epochs = 1;
  int epochs_before = 0, epochs_after = 0;  ///< of phases that share the course of the learning rate with this one
  int64_t batch_size = 128;
  double lr = 0.1;               ///< peak learning rate of weights and biases
  bool anneal = true;            ///< lower it to 0 in search and fine-tuning; else it stays at its peak
  double weight_decay = 2e-4;    ///< of weights; biases, α and clips have none
  double clip_lr_scale = 1;      ///< the clips' learning rate, relative to the weights'
  bool check_numerics = false;   ///< check the values and gradients of every op, not only the step's loss and gradients
  int patience = 0;              ///< stop after this many epochs without a better validation result; 0: never
  DType dtype = DType::float32;  ///< of activations between layers in search and fine-tuning; warm_up uses float32
  bool start_counts = false;     ///< warm_up: the network is already trained, so its initial state is a candidate, too
  data::Augmentation augmentation = {};
  uint64_t seed = 0;
  const Communicator* communicator = nullptr;  ///< as in StepOptions
  const Task* task = nullptr;                  ///< as in StepOptions
};

struct SearchSchedule : Schedule {
  bool measured = false;  ///< measure α (FisherSearch) instead of training it; then no arch_lr, τ or split
  std::function<double(const Graph&)> loss = {};  ///< for measured α, as in FisherSearch
  double arch_lr = 1e-2;                          ///< of α (Adam)
  double strength = 0;                            ///< the loss is task + strength · cost; used without targets
  std::vector<Target> targets = {};               ///< the loss is task + a growing strength · constraint_violation
  double arch_split = 0;  ///< share of the training images that α is trained on, the weights on the others; 0: both are
                          ///< trained on all images, in the same steps
  double tau_start = 5, tau_end = 0.1;
  bool tau_exponential = false;  ///< τ ← τ exp(-0.045) per epoch (the paper) instead of a geometric run to tau_end
};

/// The parameters of a graph without α, as the phases train them: weights with decay; biases; clips with their own
/// learning rate; and the logarithms of weight scales, which differ by orders of magnitude from 2 to 8 bits.
std::vector<optim::Group> parameter_groups(const Graph& graph, double weight_decay = 0, double clip_lr_scale = 1);

// Each writes to `checkpoints`, and resumes from the last one if it was written in this phase.

/// Float training with a one-cycle schedule. Ends with the parameters of the best epoch on the validation set, or, with
/// start_counts, the initial ones if they were better: returns whether they were. Throws bad_input before training if
/// the network can't be simplified.
bool warm_up(nn::Module& net, const data::Splits& splits, const Schedule& schedule, Observer& observer,
             Checkpoints* checkpoints = nullptr);
/// Trains weights, clips and α together, and θ sharpens as the temperature falls; or trains weights and clips while α
/// is measured.
void search(MixPrec& net, const data::Splits& splits, const SearchSchedule& schedule, Observer& observer,
            Checkpoints* checkpoints = nullptr);
/// Trains weights and clips while the budget of a front's search shrinks, in a phase of this name.
void front(const std::string& phase, MixPrec& net, FrontSearch& search, const data::Splits& splits,
           const Schedule& schedule, Observer& observer, Checkpoints* checkpoints = nullptr);
/// Trains the weights and clips of a front's segment for all of its networks, in a phase of this name. `net`: that of
/// the front's search, whose values are lost.
void segment(const std::string& phase, MixPrec& net, const Segment& segment, const data::Splits& splits,
             const Schedule& schedule, Observer& observer, Checkpoints* checkpoints = nullptr);
/// Quantization-aware training of a discrete network, whose weight scales follow the weights. Ends with the parameters
/// of the best epoch on the validation set, or leaves the network unchanged, scales included, if no epoch was as good:
/// returns whether it was left unchanged.
bool fine_tune(Graph& graph, const data::Splits& splits, const Schedule& schedule, const cost::Model& cost,
               Observer& observer, Checkpoints* checkpoints = nullptr);

/// The temperature τ of an epoch (SPEC §1).
double temperature(const SearchSchedule& schedule, int epoch);
/// The batches for calibrating clips: 8 from the training set, in an order that depends on the seed.
std::vector<Tensor> calibration_batches(const data::Dataset& train, int64_t batch_size, uint64_t seed);

}  // namespace mixgrad::train
