// SPDX-License-Identifier: Apache-2.0
// What a network is trained for: a loss, and the metric that networks are compared by.
#pragma once

#include <mixgrad/data.h>
#include <mixgrad/tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace mixgrad::train {

/// What tells how well a network does its task.
struct Metric {
  std::string name = {};   ///< "accuracy"
  std::string label = {};  ///< short, for a line of progress: "acc"
  bool larger_is_better = true;
  bool is_share = false;  ///< from 0 to 1, shown in percent

  bool operator==(const Metric&) const = default;
};

/// Sums over the images of a step or an epoch.
struct Score {
  double loss = 0;      ///< Σ of the task's loss
  double measured = 0;  ///< Σ of its metric
  int64_t images = 0;
  Metric metric = {};

  double mean_loss() const { return mean(loss); }
  /// The metric, in the mean over the images.
  double value() const { return mean(measured); }
  /// What to choose by: larger is better, whatever the metric.
  double quality() const { return metric.larger_is_better ? value() : -value(); }
  Score& operator+=(const Score& other);

 private:
  double mean(double sum) const { return images == 0 ? 0 : sum / static_cast<double>(images); }
};

/// A loss on the tape, and the metric of the same outputs.
struct Outcome {
  Tensor loss;          ///< scalar: Σ over the images / denominator
  double measured = 0;  ///< Σ over the images
};

/// A network and a data set that are to go together, by what their user calls them.
struct Pairing {
  const data::Dataset& images;
  std::string data;      ///< "cifar10:DIR"
  Shape input, output;   ///< of the network, without N
  std::string network;   ///< "model net.onnx"
  std::string left_out;  ///< the function at the network's end that reading its file left out: "Sigmoid 'y'"
  std::string notes;     ///< what the reader of the data did, for an error about them
};

struct Task {
  std::string name;  ///< for --loss and files
  Metric metric;
  bool reads_labels = false;
  /// Of a network's `output`, [N, values] or [N, C, H, W], for `batch`.
  std::function<Outcome(const Tensor& output, const data::Batch& batch, double denominator)> loss_and_metric;
  /// The metric of the best guess that ignores the images.
  std::function<double(const data::Dataset& images)> chance;
  /// Throws bad_input naming network, data and --loss where these can't be trained for the task together.
  std::function<void(const Pairing&)> check;

  /// What `loss_and_metric` gave for `images` images with this denominator.
  Score score(const Outcome& outcome, int64_t images, double denominator) const;
};

/// The built-in tasks: classify (cross entropy, accuracy), and reconstruct (mean squared error against the input).
const std::vector<Task>& tasks();
/// Throws bad_input listing the names; `where` says where this one stands.
const Task& find_task(const std::string& name, const std::string& where = "loss");
/// `chosen`, if given; else the task called `name` (Graph::task), if there is a name; else what the data ask for:
/// classify where they have labels, reconstruct where they have none.
const Task& task_for(const Task* chosen, const std::string& name, bool has_labels);

}  // namespace mixgrad::train
