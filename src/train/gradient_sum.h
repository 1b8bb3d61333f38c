// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/communicator.h>
#include <mixgrad/graph.h>

#include <mutex>
#include <optional>
#include <vector>

namespace mixgrad::train {

/// Adds the gradients of micro-batches to their binding's tensors, in the order of the micro-batches so that any number
/// of threads gives the same bytes, and each as soon as it is next, so that few are kept at a time.
///
/// With several processes, micro-batches are ordered by rank, and one running sum goes from rank to rank, so that the
/// result has the bytes of a single process. Meanwhile, all but the first keep their gradients until the sum arrives.
class GradientSum {
 public:
  /// `count`: the number of this process's micro-batches. `communicator` may be null: this process alone.
  GradientSum(const Binding& binding, int64_t count, const Communicator* communicator);

  /// Adds the leaves that Binding::with_leaves made for micro-batch `i`, after its backward pass. Thread-safe.
  void add(int64_t i, std::vector<Tensor> leaves);
  /// Call after adding all micro-batches: gives every process the sum over all processes.
  void finish();

 private:
  void add_those_whose_turn_has_come();

  const Communicator* communicator_;
  std::vector<Tensor> sources_;
  std::mutex mutex_;                                         // guards the members below
  std::vector<std::optional<std::vector<Tensor>>> waiting_;  // by micro-batch
  size_t turn_ = 0;
  bool busy_;  // a thread is adding, or the sum of the lower ranks has not arrived
};

}  // namespace mixgrad::train
