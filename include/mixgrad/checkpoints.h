// SPDX-License-Identifier: Apache-2.0
// The memory of a run that can be resumed.
#pragma once

#include <mixgrad/io.h>
#include <mixgrad/observer.h>
#include <mixgrad/state.h>

#include <string>

namespace mixgrad::train {

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

}  // namespace mixgrad::train
