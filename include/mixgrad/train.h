// SPDX-License-Identifier: Apache-2.0
// Training, all of it: tasks, one step, and the phases of a run with what they tell and keep.
#pragma once

#include <mixgrad/checkpoints.h>
#include <mixgrad/observer.h>
#include <mixgrad/phases.h>
#include <mixgrad/step.h>
#include <mixgrad/task.h>

namespace mixgrad::train {

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

}  // namespace mixgrad::train
