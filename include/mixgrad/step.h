// SPDX-License-Identifier: Apache-2.0
// One training step as a sum over micro-batches, and evaluation.
#pragma once

#include <mixgrad/communicator.h>
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
  std::function<Thetas()> sample = {};                       ///< θ of the step; without one, softmax(α)
  std::function<Tensor(const Thetas&)> regularization = {};  ///< added to the loss; runs once, on the step's tape
  DType dtype = DType::float32;                              ///< of activations between layers, while the network mixes
  int64_t micro_batch = 0;                                   ///< images per micro-batch; 0: micro_batch_size(graph)
  std::vector<Tensor> watched = {};  ///< leaves whose gradient of the regularization alone is told
  TapeObserver* observer = nullptr;  ///< of every op; told by every thread that runs micro-batches
  /// Spreads the micro-batches over its processes, which all call `step` with the same arguments and get the same
  /// gradients, those of a single process. Null: this process alone.
  const Communicator* communicator = nullptr;
  const Task* task = nullptr;  ///< what to train for; null: as the graph and the batch say (task_for)
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
StepResult step(nn::Module& module, const data::Batch& batch, TapeObserver* observer = nullptr,
                const Task* task = nullptr);

/// Images per micro-batch: as many as let the widest layer's forward and backward pass stay in the second-level cache,
/// 2 (bfloat16: 4) at least.
int64_t micro_batch_size(const Graph& graph, DType dtype = DType::float32);

/// Runs the graph as it is (fixed slots: integer codes) over a data set, or about the first `most_images` of it. `task`
/// as in StepOptions.
Score evaluate(const Graph& graph, const data::Dataset& dataset,
               int64_t most_images = std::numeric_limits<int64_t>::max(), const Task* task = nullptr);

}  // namespace mixgrad::train
