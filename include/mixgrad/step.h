// SPDX-License-Identifier: Apache-2.0
// One training step as a sum over micro-batches, and evaluation.
#pragma once

#include <mixgrad/communicator.h>
#include <mixgrad/confusion.h>
#include <mixgrad/data.h>
#include <mixgrad/graph.h>
#include <mixgrad/nn.h>
#include <mixgrad/tape.h>
#include <mixgrad/task.h>

#include <functional>
#include <limits>
#include <vector>

namespace mixgrad::train {

struct StepOptions {
  std::function<Thetas()> sample = {};                       ///< θ of the step; unset: softmax(α)
  std::function<Tensor(const Thetas&)> regularization = {};  ///< added to the loss; runs once, on the step's tape
  DType dtype = DType::float32;                              ///< of activations between layers
  int64_t micro_batch = 0;                                   ///< images per micro-batch; 0: micro_batch_size(graph)
  std::vector<Tensor> watched = {};  ///< leaves whose gradient of the regularization alone is reported
  TapeObserver* observer = nullptr;  ///< of every op; called by every thread that runs micro-batches
  /// Distributes the micro-batches over its processes. All of them call `step` with the same arguments and get the
  /// same gradients, those of a single process. Null: this process alone.
  const Communicator* communicator = nullptr;
  const Task* task = nullptr;  ///< what to train for; null: chosen from the graph and the batch (task_for)
};

struct StepResult {
  Score task;
  double regularization = 0;
  std::vector<Tensor> regularization_gradients = {};  ///< of the watched leaves, in their order
};

/// Adds the gradients of (mean task loss + regularization) to the graph's parameters, α and clips. The batch is cut
/// into micro-batches. One thread runs forward and backward of a micro-batch, and gradients are added in the order of
/// the micro-batches, so that any number of threads gives the same bytes (DESIGN, decision 3). Throws failed_run if a
/// loss or gradient is not finite, naming the op and layer that caused it, unless there is an observer: that can check
/// for itself.
StepResult step(const Graph& graph, const data::Batch& batch, const StepOptions& options = {});

/// The same for a module, batch norm included: the batch is not cut, and threads run inside the ops.
StepResult step(nn::Module& module, const data::Batch& batch, TapeObserver* observer = nullptr,
                const Task* task = nullptr);

/// Images per micro-batch: as many as keep the widest layer's forward and backward pass in the second-level cache, but
/// at least 4.
int64_t micro_batch_size(const Graph& graph, DType dtype = DType::float32);

constexpr int64_t all_images = std::numeric_limits<int64_t>::max();

/// Runs the graph (fixed slots: integer codes) on a data set, or on about its first `most_images` images. `task` as in
/// StepOptions. `confusion`, if given, receives that of a task about classes.
Score evaluate(const Graph& graph, const data::Dataset& dataset, int64_t most_images = all_images,
               const Task* task = nullptr, Confusion* confusion = nullptr);

}  // namespace mixgrad::train
