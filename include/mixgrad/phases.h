// SPDX-License-Identifier: Apache-2.0
// The phases of a run and their schedules: float warm-up, search, fine-tuning.
#pragma once

#include <mixgrad/checkpoints.h>
#include <mixgrad/communicator.h>
#include <mixgrad/cost.h>
#include <mixgrad/data.h>
#include <mixgrad/graph.h>
#include <mixgrad/nn.h>
#include <mixgrad/observer.h>
#include <mixgrad/search.h>
#include <mixgrad/task.h>

#include <cstdint>
#include <vector>

namespace mixgrad::train {

struct Schedule {
  int epochs = 1;
  int64_t batch_size = 128;
  double lr = 0.1;             ///< of weights and biases, at its highest
  double weight_decay = 2e-4;  ///< of weights; biases, α and clips have none
  double clip_lr_scale = 1;    ///< the clips' learning rate, relative to the weights'
  bool check_numerics =
      false;         ///< look at the values and gradients of every op, not only at the step's loss and gradients
  int patience = 0;  ///< stop after so many epochs without a better validation result; 0: never
  bool start_counts = false;  ///< warm_up: the network comes trained, so its start is a candidate beside the epochs
  data::Augmentation augmentation = {};
  uint64_t seed = 0;
  const Communicator* communicator = nullptr;  ///< of StepOptions
  const Task* task = nullptr;                  ///< of StepOptions
};

struct SearchSchedule : Schedule {
  DType dtype = DType::float32;      ///< of activations between layers
  double arch_lr = 1e-2;             ///< of α (Adam)
  double strength = 0;               ///< the loss is task + strength · cost; without targets
  std::vector<Target> targets = {};  ///< the loss is task + a growing strength · constraint_violation
  double arch_split = 0;  ///< share of the training images that α learns from, while weights learn from the others;
                          ///< 0: all learn from all, in the same steps
  double tau_start = 5, tau_end = 0.1;
  bool tau_exponential = false;  ///< τ ← τ exp(-0.045) per epoch (the paper) instead of a geometric run to tau_end
};

// Each writes to `checkpoints`, and goes on from the last of them if that is of this phase.

/// Float training, one-cycle; ends at the epoch that was best on the validation set, or at the start if that counts and
/// was better: returns whether it did. Throws bad_input for a network that could not be simplified, before it trains.
bool warm_up(nn::Module& net, const data::Splits& splits, const Schedule& schedule, Observer& observer,
             Checkpoints* checkpoints = nullptr);
/// Weights, clips and α together; θ sharpens as the temperature falls.
void search(MixPrec& net, const data::Splits& splits, const SearchSchedule& schedule, Observer& observer,
            Checkpoints* checkpoints = nullptr);
/// Quantization-aware training of a discrete network, weight scales following the weights; ends at the epoch that was
/// best on the validation set, or leaves the network as it was, scales included, if no epoch was as good: returns
/// whether it did.
bool fine_tune(Graph& graph, const data::Splits& splits, const Schedule& schedule, const cost::Model& cost,
               Observer& observer, Checkpoints* checkpoints = nullptr);

/// Temperature of an epoch (SPEC §1).
double temperature(const SearchSchedule& schedule, int epoch);
/// The batches that calibrate clips: 8 of the training set, in an order from the seed.
std::vector<Tensor> calibration_batches(const data::Dataset& train, int64_t batch_size, uint64_t seed);

}  // namespace mixgrad::train
