// SPDX-License-Identifier: Apache-2.0
// Progress of a run: on a terminal one line that is updated, elsewhere one line per epoch. From the first step on,
// Ctrl-C and SIGTERM stop the run, which then saves its results so far.
#pragma once

#include "interrupt.h"

#include <mixgrad/run.h>
#include <mixgrad/train.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace mixgrad::cli {

/// A duration, rounded up: "0:07", "1:05:00".
std::string minutes(double seconds);

class Progress : public train::Observer {
 public:
  /// What to print: notes go to standard error, the rest to standard output.
  enum class Show { nothing, notes, all };
  /// `phases`: those of the run, in their order.
  Progress(const RunConfig& config, Show show, std::vector<std::string> phases = {"warmup", "search", "finetune"});
  ~Progress() override;

  /// A page that shows the run from its first epoch on: says so after that.
  void announce_page(const std::string& path) { page_ = path; }

  void on_resume(const train::Place& place, const std::string& damage) override;
  void on_read(int64_t done, int64_t images) override;
  void on_note(const std::string& note) override;
  void on_step(const train::StepReport& step) override;
  void on_epoch(const train::EpochReport& epoch) override;
  bool stop() const override;

 private:
  using Clock = std::chrono::steady_clock;

  /// Seconds to the end of the run, after `done` epochs (with fractions) of `phase`.
  double time_left(const std::string& phase, double done) const;
  void rewrite(const std::string& line);
  /// `done`: epochs completed before, in another process.
  void enter(const std::string& phase, double done);
  void show(const train::StepReport& step);

  const RunConfig& config_;
  const std::vector<std::string> phases_;
  Show shows_;
  bool terminal_;
  mutable bool open_ = false;  // the current line has no line feed yet
  mutable bool told_ = false;  // whether stop() has reported the signal
  std::string reached_;        // phase and epoch of the last step
  std::string phase_;
  std::string cost_;  // after the last epoch
  std::string page_;  // to be announced
  Clock::time_point phase_start_, shown_;
  double done_at_start_ = 0;            // epochs of the phase
  std::optional<Interrupt> interrupt_;  // unset until there is something to save: signals then end the program at once
};

}  // namespace mixgrad::cli
