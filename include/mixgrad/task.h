// SPDX-License-Identifier: Apache-2.0
// What a network is trained for: a loss, and the metric by which networks are compared.
#pragma once

#include <mixgrad/data.h>
#include <mixgrad/graph.h>
#include <mixgrad/tensor.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace mixgrad::train {

/// A measure of how well a network does its task.
struct Metric {
  std::string name = {};   ///< "accuracy"
  std::string label = {};  ///< short form for progress lines: "acc"
  bool larger_is_better = true;
  bool is_share = false;  ///< from 0 to 1; shown in percent
  /// The metric of sums of Outcome::counts; null if it is a mean over the images.
  double (*of_counts)(std::span<const double> counts) = nullptr;

  bool operator==(const Metric&) const = default;
};

/// Sums over the images of a step or an epoch.
struct Score {
  double loss = 0;      ///< Σ of the task's loss
  double measured = 0;  ///< Σ of Outcome::measured
  int64_t images = 0;
  Metric metric = {};
  std::vector<double> counts = {};  ///< Σ of Outcome::counts

  double mean_loss() const { return mean(loss); }
  double mean_measured() const { return mean(measured); }
  /// The metric.
  double value() const { return metric.of_counts != nullptr ? metric.of_counts(counts) : mean_measured(); }
  /// The metric, negated if smaller is better: larger quality is always better.
  double quality() const { return metric.larger_is_better ? value() : -value(); }
  Score& operator+=(const Score& other);

 private:
  double mean(double sum) const { return images == 0 ? 0 : sum / static_cast<double>(images); }
};

/// A loss on the tape, and the metric of the same outputs.
struct Outcome {
  Tensor loss;                      ///< scalar: Σ over the images / denominator
  double measured = 0;              ///< Σ over the images
  std::vector<double> counts = {};  ///< for Metric::of_counts: Σ over the images, as many for every batch
};

/// Class numbers that are true and that a network chose, one of each for every image or position.
struct Decisions {
  std::vector<int32_t> truth, chosen;
  int64_t correct() const;
};

/// A network and a data set to be used together, with their names for the user.
struct Pairing {
  const data::Dataset& images;
  std::string data;      ///< "cifar10:DIR"
  Shape input, output;   ///< of the network, without N
  std::string network;   ///< "model net.onnx"
  std::string left_out;  ///< the function at the network's end that its import left out: "Sigmoid 'y'"
  std::string notes;     ///< the data reader's notes, quoted in errors about the data
};

/// The float network that a task imitates. Copies share it.
struct Teacher {
  std::shared_ptr<const Graph> network;  ///< gets no gradients
  std::vector<double> variances;         ///< of the values of each of its outputs
};
/// A copy of `network`, and the variances of its outputs on some of the images.
Teacher teacher(const Graph& network, const data::Dataset& images);

struct Task {
  std::string name;  ///< in --loss and in files
  Metric metric;
  bool reads_labels = false;   ///< and so its network's outputs are class scores
  bool reads_targets = false;  ///< Dataset::targets
  /// The loss and metric of a network's `output`, [N, values] or [N, C, H, W], for `batch`.
  std::function<Outcome(const Tensor& output, const data::Batch& batch, double denominator)> loss_and_metric;
  /// What training steps use instead, if set (distilled).
  std::function<Outcome(const Tensor& output, const data::Batch& batch, double denominator)> training = {};
  /// How many Outcome::counts there are for these data; unset: none.
  std::function<int64_t(const data::Dataset& images)> counts = {};
  /// If it is about classes: which are true and which the network chose.
  std::function<Decisions(const Tensor& output, const data::Batch& batch)> decisions = {};
  /// The metric of the best guess that ignores the images.
  std::function<double(const data::Dataset& images)> chance;
  /// Throws bad_input naming the network, the data and --loss if they can't be combined for this task.
  std::function<void(const Pairing&)> check;
  /// The same task for label maps, if it is another one.
  std::shared_ptr<const Task> on_maps = {};
  /// Set if it is to imitate a float network: the task for this one. Before that, it has no loss.
  std::function<Task(const Teacher& teacher)> taught = {};
  std::shared_ptr<const Teacher> teacher = {};  ///< set by `taught`

  /// The score of `images` images, from the result of `loss_and_metric` with this denominator.
  Score score(const Outcome& outcome, int64_t images, double denominator) const;
};

/// The task with a training loss of (1 - share) · loss + share · imitation: how far outputs are from those of
/// `teacher`, in class scores T² KL at T = 4, otherwise the squared error over the variance of the teacher's outputs on
/// some of the images (SPEC §5b). The teacher runs on every training batch, as it is augmented, with activations of
/// type `dtype`.
Task distilled(const Task& task, const Graph& teacher, double share, const data::Dataset& images,
               DType dtype = DType::float32);

/// The built-in tasks: classify (cross entropy, accuracy; on label maps mean intersection over union), reconstruct
/// (mean squared error against the input), regress (against targets), and imitate: the outputs of the float network, as
/// class scores (imitate-scores: T² KL, agreement) or as values (imitate-values: error relative to their variance); of
/// several outputs, the means over them.
const std::vector<Task>& tasks();
/// The built-in task called `name`. Throws bad_input listing the names if there is none; the error starts with `where`.
const Task& find_task(const std::string& name, const std::string& where = "loss");
/// `chosen` if given; else, for what is known about the images, the task called `name` (Graph::task) if not empty, else
/// the default: classify for labels, regress for values, reconstruct for nothing.
const Task& task_for(const Task* chosen, const std::string& name, data::Known known);

}  // namespace mixgrad::train
