// SPDX-License-Identifier: Apache-2.0
// All of training: tasks, one step, and the phases of a run with their observers and checkpoints.
#pragma once

#include <mixgrad/checkpoints.h>
#include <mixgrad/confusion.h>
#include <mixgrad/observer.h>
#include <mixgrad/phases.h>
#include <mixgrad/step.h>
#include <mixgrad/task.h>

namespace mixgrad::train {

/// While it lives, parallel work started by this thread uses `threads` threads; 0 leaves their number unchanged.
class Threads {
 public:
  explicit Threads(int threads);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};
/// The number of threads that parallel work started now would use.
int threads();

}  // namespace mixgrad::train
