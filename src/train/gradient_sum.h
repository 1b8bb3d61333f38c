// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/communicator.h>
#include <mixgrad/graph.h>

#include <mutex>
#include <optional>
#include <vector>

namespace mixgrad::train {

/// Adds the gradients of micro-batches to their binding's tensors: in the order of the micro-batches, so that any
/// number of threads gives the same bytes, but each as soon as its turn has come, so that few are kept at a time.
///
/// In a communicator, whose members' micro-batches follow each other in the order of the ranks, one running sum goes
/// from member to member: the bytes of a single process. All but the first then wait for it with gradients in hand.
class GradientSum {
 public:
  /// Of `count` micro-batches of this process. `communicator` may be null: it is alone.
  GradientSum(const Binding& binding, int64_t count, const Communicator* communicator);

  /// What Binding::with_leaves gave to micro-batch `i`, after its backward pass. From any thread.
  void add(int64_t i, std::vector<Tensor> leaves);
  /// After all were added: every process has the sum of all.
  void finish();

 private:
  void add_those_whose_turn_has_come();

  const Communicator* communicator_;
  std::vector<Tensor> sources_;
  std::mutex mutex_;                                         // of what follows
  std::vector<std::optional<std::vector<Tensor>>> waiting_;  // by micro-batch
  size_t turn_ = 0;
  bool busy_;  // a thread adds, or the sum of the members before is still to come
};

}  // namespace mixgrad::train
