// SPDX-License-Identifier: Apache-2.0
// What a phase of a run tells while it goes: steps, epochs, notes; and where it stands.
#pragma once

#include <mixgrad/communicator.h>
#include <mixgrad/io.h>
#include <mixgrad/task.h>
#include <mixgrad/tensor.h>

#include <string>
#include <vector>

namespace mixgrad::train {

struct StepReport {
  const char* phase;
  int epoch, epochs;
  int64_t step, steps;
  double loss, value;  ///< means over the epoch so far, of the task's loss and its metric
  Metric metric = {};
};

/// One α at the end of a search epoch, and what moved it. All tensors [P], or [P, C] where channels choose.
struct AlphaReport {
  std::string name;                ///< as in MixPrec::alpha_summary()
  std::vector<std::string> nodes;  ///< that hold it
  std::vector<int> bits;           ///< candidates
  Tensor alpha, theta;             ///< θ = softmax(α / τ)
  Tensor task_gradient, cost_gradient;  ///< ∂ task loss / ∂α and ∂ regularization / ∂α, means over the epoch's steps
};

struct EpochReport {
  const char* phase;  ///< "warmup", "search", "finetune"
  int epoch, epochs;
  Metric metric = {};  ///< of the task
  double task_loss = 0, reg_loss = 0, train_metric = 0, val_loss = 0, val_metric = 0;
  double cost_soft = 0, cost_discrete = 0, tau = 0, entropy = 0;  ///< 0 where the phase has none
  double seconds = 0;
  std::vector<AlphaReport> alphas = {};  ///< while searching
};

/// Where a checkpoint was written.
struct Place {
  std::string phase;
  int64_t epoch = 0, step = 0;  ///< epochs that are done, and steps of the next

  /// "search, epoch 3, step 17"
  std::string str() const;
  /// Throws bad_input when it holds none.
  static Place of(const io::Safetensors& checkpoint);
};

/// Told of what happens while a phase runs, and asked whether to go on. One that hands things on hands on stop() too.
class Observer {
 public:
  virtual ~Observer() = default;
  /// A run goes on from a checkpoint; `damage` says what was wrong with a newer one.
  virtual void on_resume(const Place&, [[maybe_unused]] const std::string& damage) {}
  /// What the user of a run should know: a sentence, without full stop. Told before the training that it bears on.
  virtual void on_note(const std::string&) {}
  virtual void on_step(const StepReport&) {}
  virtual void on_epoch(const EpochReport&) {}
  /// Asked after every step: true ends the phase there, with what it has reached, and every later one before it begins.
  virtual bool stop() const { return false; }
};

/// Whether `observer` wants to stop; of several processes, whether any one's does: all or none take a step, which waits
/// for everyone's gradients. What the phases ask, in every process at the same points.
bool stops(const Observer& observer, const Communicator* communicator);

}  // namespace mixgrad::train
