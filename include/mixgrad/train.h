// SPDX-License-Identifier: Apache-2.0
// Training: one step as a sum over micro-batches, evaluation, and the phases of a run.
#pragma once

#include <mixgrad/communicator.h>
#include <mixgrad/data.h>
#include <mixgrad/graph.h>
#include <mixgrad/nn.h>
#include <mixgrad/search.h>
#include <mixgrad/state.h>
#include <mixgrad/tape.h>

#include <functional>
#include <limits>
#include <string>

namespace mixgrad::train {

/// Sums over the images of a step or an epoch.
struct Score {
  double loss = 0;      ///< Σ cross entropy, or squared error where the network reconstructs
  int64_t correct = 0;  ///< images whose label has the largest logit
  int64_t images = 0;
  bool classifies = true;

  double mean_loss() const { return images == 0 ? 0 : loss / static_cast<double>(images); }
  /// NaN for a network that reconstructs.
  double accuracy() const {
    if (!classifies) return std::numeric_limits<double>::quiet_NaN();
    return images == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(images);
  }
  /// What to choose by, larger is better: the accuracy, or -loss.
  double quality() const { return classifies ? accuracy() : -mean_loss(); }
  Score& operator+=(const Score& other);
};

struct StepOptions {
  std::function<Thetas()> sample = {};                       ///< θ of the step; without one, softmax(α)
  std::function<Tensor(const Thetas&)> regularization = {};  ///< added to the loss; runs once, on the step's tape
  DType dtype = DType::float32;                              ///< of activations between layers, while the network mixes
  int64_t micro_batch = 0;                                   ///< images per micro-batch; 0: micro_batch_size(graph)
  std::vector<Tensor> watched = {};  ///< leaves whose gradient of the regularization alone is told
  TapeObserver* observer = nullptr;  ///< of every op; told by every thread that runs micro-batches
  /// Spreads the micro-batches over its processes, which all call `step` with the same arguments and get the same
  /// gradients, those of a single process. Null: this process alone.
  const Communicator* communicator = nullptr;
};

struct StepResult {
  Score task;
  double regularization = 0;
  std::vector<Tensor> regularization_gradients = {};  ///< of the watched leaves, in their order
};

/// Adds the gradients of (mean task loss + regularization) to the graph's parameters, α and clips. The batch
/// is cut into micro-batches; each is one thread's own forward and backward, and gradients are added in their
/// order, so that any number of threads gives the same bytes (DESIGN, decision 3). Throws failed_run where a loss or
/// gradient is not finite, with the op and the layer that began it; without an observer only, which may look by itself.
StepResult step(const Graph& graph, const data::Batch& batch, const StepOptions& options = {});

/// The same for a module as it stands, batch norm included: one batch, threads inside the ops.
StepResult step(nn::Module& module, const data::Batch& batch, TapeObserver* observer = nullptr);

/// Images per micro-batch: as many as let the widest layer's forward and backward pass stay in the second-level cache,
/// 2 (bfloat16: 4) at least.
int64_t micro_batch_size(const Graph& graph, DType dtype = DType::float32);

/// Runs the graph as it is (fixed slots: integer codes) over a data set, or about the first `most_images` of it.
Score evaluate(const Graph& graph, const data::Dataset& dataset,
               int64_t most_images = std::numeric_limits<int64_t>::max());

// --- phases of a run ------------------------------------------------------------------------------------------

struct StepReport {
  const char* phase;
  int epoch, epochs;
  int64_t step, steps;
  double loss, accuracy;  ///< means over the epoch so far
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
  double task_loss = 0, reg_loss = 0, train_accuracy = 0, val_loss = 0,
         val_accuracy = 0;                                        ///< accuracies NaN without classes
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

/// The memory of a run that can be resumed: what its finished phases gave, and where the running one stands. From the
/// last checkpoint, a run goes on to the bytes of one that was never stopped. Those that write() keeps nothing of are
/// not kept.
class Checkpoints {
 public:
  /// `last`: where to go on from; empty: from the beginning.
  explicit Checkpoints(io::Safetensors last = {});
  virtual ~Checkpoints() = default;

  /// Whether `phase` has given its result, in this run or the one before the last checkpoint.
  bool finished(const std::string& phase) const;
  io::Safetensors result(const std::string& phase) const;
  void finish(const std::string& phase, const io::Safetensors& result);

  /// What a run can't do without, by its checksum. Throws bad_input where the run to go on with began with another.
  void needs(const std::string& name, const std::string& checksum);

  /// Asked after every step: whether to write one in the midst of an epoch. One is written after every epoch.
  virtual bool due() const { return false; }
  void keep(const Place& place, const State& state);
  /// Restores `state` where the last checkpoint was written in `phase`.
  void resume(const std::string& phase, const State& state) const;

 protected:
  const io::Safetensors& last() const { return last_; }
  /// Tensors are shared with the run: good until this returns.
  virtual void write(io::Safetensors) {}

 private:
  io::Safetensors results_, last_;
};

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

/// While it lives, what this thread starts runs on so many threads; 0 leaves their number as it is.
class Threads {
 public:
  explicit Threads(int threads);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};
/// The number of threads of what starts now.
int threads();
/// Whether `observer` wants to stop; of several processes, whether any one's does: all or none take a step, which waits
/// for everyone's gradients. What the phases ask, in every process at the same points.
bool stops(const Observer& observer, const Communicator* communicator);

}  // namespace mixgrad::train
