// SPDX-License-Identifier: Apache-2.0
// The folder of a run: its results, its checkpoints for resuming, and functions that read them back.
#pragma once

#include <mixgrad/front_run.h>
#include <mixgrad/run.h>
#include <mixgrad/train.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mixgrad {

/// The text of summary.json.
std::string summary(const RunConfig& config, const RunResult& result);
/// A line of metrics.jsonl, without line feed; numbers that the phase does not have are null.
std::string metrics_line(const train::EpochReport& epoch);
/// A line of history.jsonl, without line feed: every α after a search epoch, and the gradients that drove it.
std::string history_line(const train::EpochReport& epoch);
/// A line of history.jsonl read back.
struct HistoryEpoch {
  int epoch;
  double tau;
  std::vector<train::AlphaReport> alphas;
};
/// The history of the search in folder `path`, finished or still running. Throws bad_input if it is missing or corrupt.
std::vector<HistoryEpoch> read_history(const std::string& path);

class RunLog;

struct RunFolderOptions {
  bool overwrite = false;         ///< replace an existing run
  bool resume = false;            ///< continue a stopped run, or start one if there is none
  double checkpoint_minutes = 5;  ///< between checkpoints within an epoch; 0: after every step
  std::string tensorboard = {};   ///< folder to which TensorBoard's event files are written; empty: none are
};

/// The folder of one run, created and checked to be writable before the run starts. A run that fails before its first
/// checkpoint leaves nothing behind: whatever was created is removed, and a run to be overwritten stays unchanged. A
/// run that is stopped later leaves its checkpoint, to be resumed from; once the result is on disk, the checkpoint is
/// removed.
class RunFolder {
 public:
  /// Throws bad_input if `path` can't be a run's folder, another process is writing into it, or it holds a run and
  /// `options` neither overwrite nor resume it.
  RunFolder(const std::string& path, const RunFolderOptions& options);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// Whether the run to resume already has all of its results.
  bool finished() const { return finished_; }
  /// Whether there is a checkpoint to resume from.
  bool resumes() const { return resumes_; }

  /// Adds the epoch's lines to metrics.jsonl and history.jsonl. If an old run is being overwritten, its files are kept
  /// until the result is written. Returns what the user should know, or "": a run does not end because nothing can be
  /// written to TensorBoard's folder.
  std::string add(const train::EpochReport& epoch);
  /// Whether report() has reports written: not if the folder holds an old run or another report.
  bool reports_epochs() const;
  /// Has `render` write a report of the epochs so far.
  void report(const std::function<void(const std::string& path)>& render);
  /// Writes the network, then the summary: a run with a summary is complete.
  void write_result(const RunConfig& config, const RunResult& result);
  void write_weights(const FloatResult& result);
  /// Writes the table of a front, then the front.
  void write_front(const FrontResult& result);
  std::string path() const { return path_; }

  double checkpoint_minutes() const { return checkpoint_minutes_; }
  /// The newest intact checkpoint; `damage` says what is wrong with a newer one.
  io::Safetensors checkpoint(std::string& damage) const;
  /// Removes log lines newer than `checkpoint`. Throws bad_input if older ones have changed.
  void go_back_to(const io::Safetensors& checkpoint);
  void write_checkpoint(io::Safetensors content);
  void drop_checkpoints();

 private:
  void lock();
  void clear_leftovers() const;
  void make_folders();
  void remove_empty();
  /// Removes the old result, if there is one. Weights that runs start from, of train and front, stay.
  void begin_result();

  std::filesystem::path path_;
  std::vector<std::filesystem::path> made_;  // outermost first
  bool complete_ = false, finished_ = false, resumes_ = false;
  bool foreign_checkpoints_ = false;  // existing checkpoints belong to a run to be overwritten
  bool foreign_report_ = false;       // an existing report is not this run's
  bool reported_ = false;
  double checkpoint_minutes_;
  int lock_ = -1;
  std::unique_ptr<RunLog> log_;
};

/// Runs run_search and writes its result, log and checkpoints into `folder`; resumes from the folder's checkpoint if
/// asked to. `render` writes a report (report::write_page): of the epochs so far after each of them, and of the
/// finished run, before the checkpoint is removed. Throws bad_input naming settings that have changed since the
/// checkpoint; the error of a failed run mentions its checkpoint.
RunResult run_in_folder(const RunConfig& config, RunFolder& folder, train::Observer& observer,
                        const Communicator* communicator = nullptr,
                        const std::function<void(const std::string& path)>& render = {});

/// Runs run_front and writes front.safetensors, front.csv and the log into `folder`. Otherwise like run_in_folder.
FrontResult front_in_folder(const RunConfig& config, RunFolder& folder, train::Observer& observer,
                            const Communicator* communicator = nullptr,
                            const std::function<void(const std::string& path)>& render = {});

/// Runs run_warm_up and writes metrics.jsonl and float.safetensors into `folder`.
FloatResult train_in_folder(const RunConfig& config, RunFolder& folder, train::Observer& observer);

/// An unused name under runs/, made from the current time.
std::string dated_folder();

// --- what a folder holds --------------------------------------------------------------------------------------

/// Throws bad_input unless `path`, the folder of `what`, is an existing folder.
void check_existing_folder(const std::string& path, const char* what = "a run");

/// The network of a finished run, with the images of `data` or, if empty, of the run's own data, read with the run's
/// settings. Throws bad_input if the folder holds no finished run, or the data do not fit the network.
struct FinishedRun {
  std::string model;  ///< its name; for a file without the folder
  Graph network;
  data::Dataset train, test;  ///< without labels or targets that the task does not read
  train::Task task;
  std::vector<std::string> notes;  ///< as data::Splits::notes
};
FinishedRun load_run(const std::string& path, const std::string& data = "", bool skip_unreadable = false);

/// The network of a finished run, without its data. Throws bad_input if the folder holds no finished run.
Graph load_network(const std::string& path);

/// The network of a finished search; nothing if the run is not finished or was made by `mixgrad train`.
std::optional<Graph> exported_network(const std::string& path);
/// How the finished run in folder `path` met its targets; nothing if it had none. Throws bad_input for a corrupt
/// summary.
std::optional<Repair> repair_of(const std::string& path);

/// Evaluates a run's network on its test set. `confusion`, if given, receives that of a task about classes.
train::Score evaluate_run(const FinishedRun& run, train::Confusion* confusion = nullptr);

}  // namespace mixgrad
