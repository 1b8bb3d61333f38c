// SPDX-License-Identifier: Apache-2.0
// The folder of a run: what it leaves there, where it goes on from, and what others read back.
#pragma once

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
/// A line of metrics.jsonl, without line feed: null where the phase has no such number.
std::string metrics_line(const train::EpochReport& epoch);
/// A line of history.jsonl, without line feed: every α after a search epoch, and what pulled at it.
std::string history_line(const train::EpochReport& epoch);
/// A line of history.jsonl read back.
struct HistoryEpoch {
  int epoch;
  double tau;
  std::vector<train::AlphaReport> alphas;
};
/// The history of the search in folder `path`, finished or still running. Throws bad_input when it holds none, or a
/// damaged one.
std::vector<HistoryEpoch> read_history(const std::string& path);

class RunLog;

struct RunFolderOptions {
  bool overwrite = false;         ///< a run that stands there
  bool resume = false;            ///< go on with a run that was stopped; begin one where there is none
  double checkpoint_minutes = 5;  ///< between checkpoints in the midst of an epoch; 0: after every step
};

/// A folder to hold one run. Made, and checked to be writable, before the run starts. A run that fails before its first
/// checkpoint leaves nothing behind: what was made is taken away again, and a run that was to be overwritten stays as
/// it was. One that is stopped later leaves its checkpoint, to resume from; with the result on the disk, that goes
/// away.
class RunFolder {
 public:
  /// Throws bad_input when `path` can't be a run's folder, another process writes into it, or it holds a run that
  /// `options` does not speak of.
  RunFolder(const std::string& path, const RunFolderOptions& options);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// Whether the run to resume has all of its results already.
  bool finished() const { return finished_; }
  /// Whether there is a checkpoint to go on from.
  bool resumes() const { return resumes_; }

  /// Adds the epoch's lines to metrics.jsonl and history.jsonl; an old run that is to be overwritten keeps its own
  /// until the result.
  void add(const train::EpochReport& epoch);
  /// The network, then the summary: where a summary stands, the run is complete.
  void write_result(const RunConfig& config, const RunResult& result);
  void write_weights(const FloatResult& result);
  std::string path() const { return path_; }

  double checkpoint_minutes() const { return checkpoint_minutes_; }
  /// The newest checkpoint that is whole; `damage` says what is wrong with a newer one.
  io::Safetensors checkpoint(std::string& damage) const;
  /// What was logged after `checkpoint` goes away. Throws bad_input where what was logged before has changed.
  void go_back_to(const io::Safetensors& checkpoint);
  void write_checkpoint(io::Safetensors content);
  void drop_checkpoints();

 private:
  void lock();
  void clear_leftovers() const;
  void make_folders();
  void remove_empty();
  void begin_result();

  std::filesystem::path path_;
  std::vector<std::filesystem::path> made_;  // outermost first
  bool complete_ = false, finished_ = false, resumes_ = false;
  bool foreign_checkpoints_ = false;  // those there are belong to a run that is to be overwritten
  double checkpoint_minutes_;
  int lock_ = -1;
  std::unique_ptr<RunLog> log_;
};

/// run_search, and what it leaves in `folder`; goes on from the folder's checkpoint where it is to resume. `render`
/// adds to the folder of a result what shows it (report::write_page), before the checkpoint goes away. Throws bad_input
/// naming the settings that have changed since; a failed run's error says that there is a checkpoint.
RunResult run_in_folder(const RunConfig& config, RunFolder& folder, train::Observer& observer,
                        const Communicator* communicator = nullptr,
                        const std::function<void(const std::string& path)>& render = {});

/// run_warm_up, and what it leaves in `folder`: metrics.jsonl and float.safetensors.
FloatResult train_in_folder(const RunConfig& config, RunFolder& folder, train::Observer& observer);

/// A name under runs/ that tells when the run started and is not taken.
std::string dated_folder();

// --- what a folder holds --------------------------------------------------------------------------------------

/// Throws bad_input unless `path`, which should be the folder of `what`, is one.
void check_existing_folder(const std::string& path, const char* what = "a run");

/// What a run folder holds, with the test set of `data`, or of the run's own data when that is empty. Throws bad_input
/// when the folder holds no finished run, or the data do not fit the network.
struct FinishedRun {
  std::string model;  ///< its name: of a file, without the folder
  Graph network;
  data::Dataset test;  ///< without labels where the network reconstructs
};
FinishedRun load_run(const std::string& path, const std::string& data = "");

/// The network of a finished run, without its data. Throws bad_input when the folder holds none.
Graph load_network(const std::string& path);

/// The network of a finished run; nothing where the run goes on, or was of train.
std::optional<Graph> exported_network(const std::string& path);
/// How the finished run in folder `path` met its targets; nothing where it had none. Throws bad_input for a damaged
/// summary.
std::optional<Repair> repair_of(const std::string& path);

/// Measures the network in run folder `path` on the test set of `data`, or of the run's own data when that is empty.
train::Score evaluate_run(const std::string& path, const std::string& data = "");

}  // namespace mixgrad
