// SPDX-License-Identifier: Apache-2.0
// Runs that keep their folder's log and checkpoints up to date.
#include "checkpoint_files.h"
#include "file_names.h"

#include <mixgrad/error.h>
#include <mixgrad/run_folder.h>
#include <mixgrad/settings.h>

#include <fmt/ranges.h>

#include <chrono>

namespace mixgrad {
namespace {

/// Throws bad_input naming every setting that has changed since the checkpoint.
void check_settings(const RunConfig& config, const io::Safetensors& checkpoint) {
  const std::vector<std::string> changed =
      changed_settings(checkpoint.part(settings_prefix).metadata, config, [](const Setting&) { return true; });
  if (!changed.empty())
    bad_input("resume: {}: a run can only continue with its original settings", fmt::join(changed, "; "));
}

io::Safetensors last_checkpoint(const RunConfig& config, const RunFolder& folder, std::string& damage) {
  if (!folder.resumes()) return {};
  io::Safetensors content = folder.checkpoint(damage);
  check_settings(config, content);
  return content;
}

using Render = std::function<void(const std::string& path)>;

/// Keeps the folder's log, report and checkpoints up to date and forwards all events to the next observer.
class RunWriter : public train::Observer, public train::Checkpoints {
 public:
  RunWriter(const RunConfig& config, RunFolder& folder, train::Observer& next, const Render& render = {})
      : RunWriter(config, folder, next, render, std::string()) {}

  /// Returns the result of `run`. An error mentions the checkpoint, if there is one.
  template <typename Run>
  auto guard(const Run& run) {
    try {
      return run();
    } catch (const Error& e) {
      const bool bad_input = e.kind() == Error::Kind::bad_input;
      if (bad_input && !folder_.resumes()) folder_.drop_checkpoints();
      if (bad_input || kept_.empty() || !CheckpointFiles(folder_.path()).any()) throw;
      failed_run("{}; its folder keeps a checkpoint ({}): fix the cause and continue with --resume", e.what(), kept_);
    }
  }

  bool due() const override {
    return std::chrono::duration<double>(Clock::now() - written_).count() >= 60 * folder_.checkpoint_minutes();
  }
  void on_read(int64_t done, int64_t images) override { next_.on_read(done, images); }
  void on_note(const std::string& note) override { next_.on_note(note); }
  void on_step(const train::StepReport& step) override { next_.on_step(step); }
  void on_epoch(const train::EpochReport& epoch) override {
    const std::string note = folder_.add(epoch);
    if (!note.empty()) next_.on_note(note);
    folder_.report(render_);
    next_.on_epoch(epoch);
  }
  bool stop() const override { return next_.stop(); }

 private:
  using Clock = std::chrono::steady_clock;

  RunWriter(const RunConfig& config, RunFolder& folder, train::Observer& next, const Render& render, std::string damage)
      : Checkpoints(last_checkpoint(config, folder, damage)),
        config_(config),
        folder_(folder),
        next_(next),
        render_(render) {
    if (!folder.resumes()) return;
    folder.go_back_to(last());
    const train::Place place = train::Place::of(last());
    kept_ = place.str();
    next.on_resume(place, damage);
  }

  void write(io::Safetensors content) override {
    content.put(settings_prefix, {.tensors = {}, .metadata = decisive_settings(config_)});
    const std::string place = train::Place::of(content).str();
    folder_.write_checkpoint(std::move(content));
    kept_ = place;
    written_ = Clock::now();
  }

  const RunConfig& config_;
  RunFolder& folder_;
  train::Observer& next_;
  const Render render_;
  std::string kept_;  // the place of the last checkpoint
  Clock::time_point written_ = Clock::now();
};

}  // namespace

FloatResult train_in_folder(const RunConfig& config, RunFolder& folder, train::Observer& observer) {
  RunWriter writer(config, folder, observer);
  return writer.guard([&] {
    FloatResult result = run_warm_up(config, writer, &writer);
    folder.write_weights(result);
    if (!result.interrupted) folder.drop_checkpoints();  // last, so that a run killed before this can be resumed
    return result;
  });
}

FrontResult front_in_folder(const RunConfig& config, RunFolder& folder, train::Observer& observer,
                            const Communicator* communicator, const Render& render) {
  RunWriter writer(config, folder, observer, render);
  return writer.guard([&] {
    FrontResult result = run_front(config, writer, &writer, communicator);
    if (result.interrupted) return result;  // there is nothing to pick from yet: the checkpoint is what is left
    folder.write_front(result);
    if (render) render(folder.path());
    folder.drop_checkpoints();
    return result;
  });
}

RunResult run_in_folder(const RunConfig& config, RunFolder& folder, train::Observer& observer,
                        const Communicator* communicator, const Render& render) {
  RunWriter writer(config, folder, observer, render);
  return writer.guard([&] {
    RunResult result = run_search(config, writer, &writer, communicator);
    folder.write_result(config, result);
    if (render) render(folder.path());
    if (!result.interrupted) folder.drop_checkpoints();
    return result;
  });
}

}  // namespace mixgrad
