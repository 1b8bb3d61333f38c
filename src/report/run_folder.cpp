// SPDX-License-Identifier: Apache-2.0
// A run's folder: checked before anything is written, files whole or not at all.
#include "checkpoint_files.h"
#include "existing_folder.h"
#include "run_log.h"
#include "settings.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/models.h>
#include <mixgrad/report.h>

#include <nlohmann/json.hpp>

#include <fmt/chrono.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <ctime>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace mixgrad::report {
namespace {

namespace fs = std::filesystem;

constexpr const char *summary_name = "summary.json", *network_name = "model.safetensors",
                     *float_name = "float.safetensors";
constexpr const char* names[] = {summary_name, "metrics.jsonl", "history.jsonl", network_name, float_name};
constexpr const char* report_name = "report.html";

constexpr const char *log_prefix = "log/", *settings_prefix = "settings/";

/// Throws bad_input naming every setting that is not as it was.
void check_settings(const RunConfig& config, const io::Safetensors& checkpoint) {
  const auto before = checkpoint.part(settings_prefix).metadata;
  std::vector<std::string> changed;
  for (const auto& [name, value] : decisive_settings(config)) {
    const auto found = before.find(name);
    if (found == before.end() || found->second == value) continue;
    changed.push_back(fmt::format("{} is '{}' here, but was '{}'", name, value, found->second));
  }
  if (!changed.empty())
    bad_input("resume: {}: a run goes on with the settings it began with", fmt::join(changed, "; "));
}

io::Safetensors last_checkpoint(const RunConfig& config, const RunFolder& folder, std::string& damage) {
  if (!folder.resumes()) return {};
  io::Safetensors content = folder.checkpoint(damage);
  check_settings(config, content);
  return content;
}

/// Keeps the folder's log and checkpoints up to date and passes everything on.
class RunWriter : public train::Observer, public train::Checkpoints {
 public:
  RunWriter(const RunConfig& config, RunFolder& folder, train::Observer& next)
      : RunWriter(config, folder, next, std::string()) {}

  /// `run`'s result. An error says what is kept, if anything is.
  template <typename Run>
  auto guard(const Run& run) {
    try {
      return run();
    } catch (const Error& e) {
      const bool bad_input = e.kind() == Error::Kind::bad_input;
      if (bad_input && !folder_.resumes()) folder_.drop_checkpoints();
      if (bad_input || kept_.empty() || !CheckpointFiles(folder_.path()).any()) throw;
      failed_run("{}; kept in its folder: a checkpoint ({}), from which --resume goes on once the cause is gone",
                 e.what(), kept_);
    }
  }

  bool due() const override {
    return std::chrono::duration<double>(Clock::now() - written_).count() >= 60 * folder_.checkpoint_minutes();
  }
  void on_note(const std::string& note) override { next_.on_note(note); }
  void on_step(const train::StepReport& step) override { next_.on_step(step); }
  void on_epoch(const train::EpochReport& epoch) override {
    folder_.add(epoch);
    next_.on_epoch(epoch);
  }
  bool stop() const override { return next_.stop(); }

 private:
  using Clock = std::chrono::steady_clock;

  RunWriter(const RunConfig& config, RunFolder& folder, train::Observer& next, std::string damage)
      : Checkpoints(last_checkpoint(config, folder, damage)), config_(config), folder_(folder), next_(next) {
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
  std::string kept_;  // the place of the last checkpoint
  Clock::time_point written_ = Clock::now();
};

/// What evaluate_run needs of a summary.
struct Origin {
  std::string model, data;
  uint64_t seed;
};

Origin read_origin(const fs::path& folder) {
  std::error_code error;
  check_existing_folder(folder);
  const std::string file = folder / summary_name;
  if (!fs::exists(file, error)) bad_input("{}: holds no finished run: {} is missing", folder.string(), summary_name);
  try {
    const auto json = nlohmann::json::parse(io::read_file(file));
    return {.model = fs::path(json.at("model").get<std::string>()).filename(),
            .data = json.at("data").get<std::string>(),
            .seed = json.at("seed").get<uint64_t>()};
  } catch (const nlohmann::json::exception&) {
    bad_input("{}: damaged: expected the summary of a run, with its model, data and seed", file);
  }
}

}  // namespace

RunFolder::RunFolder(const std::string& path, const FolderOptions& options)
    : path_(fs::absolute(path)), checkpoint_minutes_(options.checkpoint_minutes) {
  if (options.overwrite && options.resume)
    bad_input("out: give --overwrite to begin anew or --resume to go on, not both");
  if (!(checkpoint_minutes_ >= 0))
    bad_input("checkpoint-minutes: {} is not possible: expected 0 or more", checkpoint_minutes_);
  if (!path_.has_filename()) path_ = path_.parent_path();  // "runs/a/" is runs/a
  std::error_code error;
  const bool stopped = CheckpointFiles(path_).any();
  const bool result = fs::exists(path_ / summary_name, error) || fs::exists(path_ / float_name, error);
  finished_ = options.resume && result && !stopped;
  resumes_ = options.resume && stopped;
  foreign_checkpoints_ = !options.resume && stopped;
  bool old_run = result;
  if (!options.resume) {
    for (const char* name : names) old_run = old_run || fs::exists(path_ / name, error);
    if (stopped && !options.overwrite)
      bad_input("out: {} holds a run that was stopped: give --resume to go on with it, or --overwrite", path);
    if (old_run && !options.overwrite)
      bad_input("out: {} holds a run already: choose another folder, or give --overwrite", path);
  }
  try {
    make_folders();
    io::check_folder(path_);
    lock();
    if (options.resume) clear_leftovers();
    log_ = std::make_unique<RunLog>(path_, old_run);
  } catch (...) {
    remove_empty();
    throw;
  }
}

RunFolder::~RunFolder() {
  if (log_ && !complete_ && !CheckpointFiles(path_).any()) log_->remove();  // a run that failed
  remove_empty();
  if (lock_ >= 0) ::close(lock_);
}

/// Two runs would take each other's files away. Not every file system can lock; then there is no check.
void RunFolder::lock() {
  lock_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ >= 0 && ::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(lock_);
    bad_input("out: another run is writing into {}", path_.string());
  }
}

/// What a run that was killed was about to write.
void RunFolder::clear_leftovers() const {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_, ignored)) {
    if (entry.path().filename().string().starts_with(".mixgrad-")) fs::remove(entry.path(), ignored);
  }
}

io::Safetensors RunFolder::checkpoint(std::string& damage) const { return CheckpointFiles(path_).newest(damage); }

void RunFolder::go_back_to(const io::Safetensors& checkpoint) { log_->go_back(checkpoint.part(log_prefix).metadata); }

void RunFolder::write_checkpoint(io::Safetensors content) {
  content.put(log_prefix, {.tensors = {}, .metadata = log_->places()});
  if (std::exchange(foreign_checkpoints_, false)) CheckpointFiles(path_).remove();
  CheckpointFiles(path_).write(std::move(content));
}

void RunFolder::drop_checkpoints() {
  if (!foreign_checkpoints_) CheckpointFiles(path_).remove();
}

void RunFolder::remove_empty() {
  std::error_code ignored;
  for (; !made_.empty(); made_.pop_back()) fs::remove(made_.back(), ignored);  // leaves a folder with files in it
}

void RunFolder::make_folders() {
  std::error_code error;
  std::vector<fs::path> missing;
  fs::path base = path_;
  for (; !fs::exists(base, error) && base.has_relative_path(); base = base.parent_path()) missing.push_back(base);
  if (!fs::is_directory(base, error)) bad_input("out: {} is not a folder", base.string());
  for (; !missing.empty(); missing.pop_back()) {
    if (fs::create_directory(missing.back(), error)) made_.push_back(missing.back());
    if (error) bad_input("out: can't make folder {}: {}", missing.back().string(), error.message());
  }
}

void RunFolder::add(const train::EpochReport& epoch) { log_->add(epoch); }

void RunFolder::begin_result() {
  std::error_code error;
  fs::remove(path_ / report_name, error);
  fs::remove(path_ / summary_name, error);  // without it, no old summary can stand beside a new network
  if (error) failed_run("can't replace {}: {}", (path_ / summary_name).string(), error.message());
  log_->replace_old();
}

void RunFolder::write_result(const RunConfig& config, const RunResult& result) {
  begin_result();
  save(result.network, path_ / network_name);
  io::write_file(path_ / summary_name, summary(config, result));
  complete_ = true;
}

void RunFolder::write_weights(const FloatResult& result) {
  log_->replace_old();
  io::write_safetensors(path_ / float_name, float_weights(result));
  complete_ = true;
}

FloatResult train_in_folder(const RunConfig& config, RunFolder& folder, train::Observer& observer) {
  RunWriter writer(config, folder, observer);
  return writer.guard([&] {
    FloatResult result = run_warm_up(config, writer, &writer);
    folder.write_weights(result);
    if (!result.interrupted) folder.drop_checkpoints();  // last: until here, a run that is killed goes on from them
    return result;
  });
}

RunResult run_in_folder(const RunConfig& config, RunFolder& folder, train::Observer& observer,
                        const Communicator* communicator) {
  RunWriter writer(config, folder, observer);
  return writer.guard([&] {
    RunResult result = run_search(config, writer, &writer, communicator);
    folder.write_result(config, result);
    write_page(folder.path());
    if (!result.interrupted) folder.drop_checkpoints();
    return result;
  });
}

std::string dated_folder() {
  const std::time_t now = std::time(nullptr);
  const std::string name = fmt::format("runs/{:%Y-%m-%d-%H%M%S}", fmt::localtime(now));
  std::string free = name;
  std::error_code error;
  for (int i = 2; fs::exists(free, error); ++i) free = fmt::format("{}-{}", name, i);
  return free;
}

namespace {

/// What the network of a finished run was trained for. Files written before tasks had names do not say: then, whatever
/// returned as many values as its input has was trained to reconstruct it.
const train::Task& task_of_run(const Graph& network, const std::string& file) {
  if (!network.task.empty()) return train::find_task(network.task, file + ": task");
  const Shape& output = network.nodes[static_cast<size_t>(network.output)].shape;
  return train::find_task(output.size() == network.input_shape().size() ? "reconstruct" : "classify");
}

}  // namespace

FinishedRun load_run(const std::string& path, const std::string& data) {
  const Origin origin = read_origin(path);
  const std::string& spec = data.empty() ? origin.data : data;
  Graph network = load_graph(fs::path(path) / network_name);
  data::Dataset test = data::load(spec, origin.seed, 0.1, network.input_shape()).test;
  if (test.image_shape() != network.input_shape()) {
    bad_input("data: images of '{}' are {}, but the network in {} takes {}", spec, test.image_shape().str(), path,
              network.input_shape().str());
  }
  const train::Task& task = task_of_run(network, fs::path(path) / network_name);
  network.task = task.name;
  task.check({.images = test,
              .data = spec,
              .input = network.input_shape(),
              .output = network.nodes[static_cast<size_t>(network.output)].shape,
              .network = "the network in " + path,
              .left_out = "",
              .notes = ""});
  if (!task.reads_labels) test.labels.clear();
  test.normalization = network.normalization;
  return {.model = origin.model, .network = std::move(network), .test = std::move(test)};
}

Graph load_network(const std::string& path) {
  read_origin(path);
  return load_graph(fs::path(path) / network_name);
}

std::optional<Graph> exported_network(const std::string& path) {
  std::error_code error;
  if (!fs::exists(fs::path(path) / summary_name, error)) return std::nullopt;
  return load_graph(fs::path(path) / network_name);
}

std::optional<Repair> repair_of(const std::string& path) {
  const std::string file = fs::path(path) / summary_name;
  try {
    const auto summary = nlohmann::json::parse(io::read_file(file));
    if (!summary.contains("repair") || summary.at("repair").is_null()) return std::nullopt;
    return repair_from_json(summary.at("repair").dump());
  } catch (const nlohmann::json::exception&) {
    bad_input("{}: damaged: expected the summary of a run", file);
  }
}

train::Score evaluate_run(const std::string& path, const std::string& data) {
  const FinishedRun run = load_run(path, data);
  return train::evaluate(run.network, run.test);
}

}  // namespace mixgrad::report
