// SPDX-License-Identifier: Apache-2.0
// Checkpoints of a run, for resuming it.
#pragma once

#include <mixgrad/io.h>
#include <mixgrad/observer.h>
#include <mixgrad/state.h>

#include <string>

namespace mixgrad::train {

/// The checkpoints of a run: the results of its finished phases and the state of the current one. A run resumed from
/// its last checkpoint ends with the same bytes as one that was never stopped. This base class writes nothing; derived
/// classes override write().
class Checkpoints {
 public:
  /// `last`: the checkpoint to resume from; empty: start from the beginning.
  explicit Checkpoints(io::Safetensors last = {});
  virtual ~Checkpoints() = default;

  /// Whether `phase` has finished, in this process or before the last checkpoint.
  bool finished(const std::string& phase) const;
  io::Safetensors result(const std::string& phase) const;
  void finish(const std::string& phase, const io::Safetensors& result);

  /// Records an input of the run by its checksum. Throws bad_input if the run being resumed started with another one.
  void needs(const std::string& name, const std::string& checksum);

  /// Called after every step: whether to write a checkpoint in mid-epoch. One is written after every epoch in any case.
  virtual bool due() const { return false; }
  void keep(const Place& place, const State& state);
  /// Restores `state` if the last checkpoint was written in `phase`.
  void resume(const std::string& phase, const State& state) const;

 protected:
  const io::Safetensors& last() const { return last_; }
  /// The tensors are shared with the run and valid only until this returns.
  virtual void write(io::Safetensors) {}

 private:
  io::Safetensors results_, last_;
};

}  // namespace mixgrad::train
