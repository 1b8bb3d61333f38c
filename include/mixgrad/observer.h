// SPDX-License-Identifier: Apache-2.0
// What a phase of a run reports: its steps, epochs and notes, and its position.
#pragma once

#include <mixgrad/communicator.h>
#include <mixgrad/io.h>
#include <mixgrad/task.h>
#include <mixgrad/tensor.h>

#include <string>
#include <vector>

namespace mixgrad::train {

struct StepReport {
  std::string phase;
  int epoch, epochs;
  int64_t step, steps;
  double loss, value;  ///< means of the task's loss and metric over the epoch so far
  Metric metric = {};
};

/// One α at the end of a search epoch, and the gradients that drove it. All tensors are [P], or [P, C] per channel.
struct AlphaReport {
  std::string name;                ///< as in MixPrec::alpha_summary()
  std::vector<std::string> nodes;  ///< the nodes that use it
  std::vector<int> bits;           ///< candidates
  Tensor alpha, theta;             ///< θ = softmax(α / τ)
  Tensor task_gradient, cost_gradient;  ///< ∂ task loss / ∂α and ∂ regularization / ∂α: means over the epoch's steps,
                                        ///< if α is trained
  Tensor loss = {};  ///< what each candidate would add to the task's loss, if α is measured
};

struct EpochReport {
  std::string phase;  ///< "warmup", "search", "finetune", or of a front "search COST", "segment COST N"
  int epoch, epochs;
  Metric metric = {};  ///< of the task
  double task_loss = 0, reg_loss = 0, train_metric = 0, val_loss = 0, val_metric = 0;
  double cost_soft = 0, cost_discrete = 0, tau = 0, entropy = 0;  ///< 0 if the phase has none
  double seconds = 0;
  std::vector<AlphaReport> alphas = {};  ///< in the search only
  /// Of the network that was validated; shared with the one in training, so its next step changes them.
  std::vector<Parameter> parameters = {};
};

/// The position in a run at which a checkpoint was written.
struct Place {
  std::string phase;
  int64_t epoch = 0, step = 0;  ///< completed epochs, and completed steps of the next one

  /// "search, epoch 3, step 17"
  std::string str() const;
  /// Throws bad_input if the file is not a checkpoint.
  static Place of(const io::Safetensors& checkpoint);
};

/// Is notified of the events of a phase and decides whether it continues. A wrapper must forward stop(), too.
class Observer {
 public:
  virtual ~Observer() = default;
  /// A run resumes from a checkpoint; `damage` says what is wrong with a newer one that had to be skipped.
  virtual void on_resume(const Place&, [[maybe_unused]] const std::string& damage) {}
  /// So many of a folder's images have been read. May come from any thread, but from one at a time.
  virtual void on_read([[maybe_unused]] int64_t done, [[maybe_unused]] int64_t images) {}
  /// Something that the user should know: a sentence without a full stop. Called before the training that it concerns.
  virtual void on_note(const std::string&) {}
  virtual void on_step(const StepReport&) {}
  virtual void on_epoch(const EpochReport&) {}
  /// Called after every step. True ends the phase with what it has reached, and skips all later phases.
  virtual bool stop() const { return false; }
};

/// Whether `observer`, or that of any other process, wants to stop. Every process asks at the same points, so that all
/// of them or none take the next step, which waits for the gradients of all.
bool stops(const Observer& observer, const Communicator* communicator);

}  // namespace mixgrad::train
