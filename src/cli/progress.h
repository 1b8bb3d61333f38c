// SPDX-License-Identifier: Apache-2.0
// How a run goes: one line that is rewritten on a terminal, a plain line per epoch elsewhere. From the first step on,
// Ctrl-C and SIGTERM end the run with what it has reached.
#pragma once

#include "interrupt.h"

#include <mixgrad/run.h>
#include <mixgrad/train.h>

#include <chrono>
#include <optional>
#include <string>

namespace mixgrad::cli {

class Progress : public train::Observer {
 public:
  /// Notes go to standard error, the rest to standard output.
  enum class Show { nothing, notes, all };
  Progress(const RunConfig& config, Show show);
  ~Progress() override;

  void on_resume(const train::Place& place, const std::string& damage) override;
  void on_note(const std::string& note) override;
  void on_step(const train::StepReport& step) override;
  void on_epoch(const train::EpochReport& epoch) override;
  bool stop() const override;

 private:
  using Clock = std::chrono::steady_clock;

  /// Seconds to the end of the run, when `done` (in epochs, with fractions) of `phase` are done.
  double time_left(const std::string& phase, double done) const;
  void rewrite(const std::string& line);
  /// `done`: epochs that were done before, in another process.
  void enter(const std::string& phase, double done);
  void show(const train::StepReport& step);

  const RunConfig& config_;
  Show shows_;
  bool terminal_;
  mutable bool open_ = false;  // the cursor stands at the end of a line
  mutable bool told_ = false;  // of the signal; it may come at any time, so stop() tells
  std::string reached_;        // phase and epoch of the last step
  std::string phase_;
  std::string cost_;  // as of the last epoch
  Clock::time_point phase_start_, shown_;
  double done_at_start_ = 0;            // epochs of the phase
  std::optional<Interrupt> interrupt_;  // before there is something to save, signals end the program at once
};

}  // namespace mixgrad::cli
