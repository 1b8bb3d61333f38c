// SPDX-License-Identifier: Apache-2.0
// A run's folder: checked before anything is written, files whole or not at all.
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/models.h>
#include <mixgrad/report.h>

#include <nlohmann/json.hpp>

#include <fmt/chrono.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <unistd.h>

namespace mixgrad::report {
namespace {

namespace fs = std::filesystem;

constexpr const char *summary_name = "summary.json", *metrics_name = "metrics.jsonl", *history_name = "history.jsonl",
                    *network_name = "model.safetensors", *float_name = "float.safetensors";
constexpr const char* names[] = {summary_name, metrics_name, history_name, network_name, float_name};
constexpr const char* report_name = "report.html";

/// Keeps metrics.jsonl and history.jsonl up to date and passes everything on.
class LogWriter : public train::Observer {
 public:
  LogWriter(RunFolder& folder, train::Observer& next) : folder_(folder), next_(next) {}

  const RunLog& log() const { return log_; }

  void on_step(const train::StepReport& step) override { next_.on_step(step); }
  void on_epoch(const train::EpochReport& epoch) override {
    log_.metrics += metrics_line(epoch) + "\n";
    if (!epoch.alphas.empty()) log_.history += history_line(epoch) + "\n";
    folder_.write_log(log_);
    next_.on_epoch(epoch);
  }
  bool stop() const override { return next_.stop(); }

 private:
  RunFolder& folder_;
  train::Observer& next_;
  RunLog log_;
};

/// What evaluate_run needs of a summary.
struct Origin {
  std::string model, data;
  uint64_t seed;
};

Origin read_origin(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) bad_input("{}: no such folder", folder.string());
  const std::string file = folder / summary_name;
  if (!fs::exists(file, error)) bad_input("{}: holds no finished run: {} is missing", folder.string(), summary_name);
  try {
    const auto json = nlohmann::json::parse(io::read_file(file));
    return {.model = json.at("model").get<std::string>(), .data = json.at("data").get<std::string>(), .seed = json.at("seed").get<uint64_t>()};
  } catch (const nlohmann::json::exception&) {
    bad_input("{}: damaged: expected the summary of a run, with its model, data and seed", file);
  }
}

}  // namespace

RunFolder::RunFolder(const std::string& path, bool overwrite) : path_(fs::absolute(path)) {
  if (!path_.has_filename()) path_ = path_.parent_path();  // "runs/a/" is runs/a
  std::error_code error;
  for (const char* name : names) old_run_ = old_run_ || fs::exists(path_ / name, error);
  if (old_run_ && !overwrite) bad_input("out: {} holds a run already: choose another folder, or give --overwrite", path);
  try {
    make_folders();
    check_writable();
  } catch (...) {
    remove_empty();
    throw;
  }
}

RunFolder::~RunFolder() {
  std::error_code ignored;
  if (!complete_ && !old_run_) {  // a run that failed
    for (const char* name : {metrics_name, history_name}) fs::remove(path_ / name, ignored);
  }
  remove_empty();
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

/// Permissions don't tell it all (read-only and virtual file systems): makes a file and removes it.
void RunFolder::check_writable() const {
  std::string probe = path_ / ".mixgrad-XXXXXX";
  const int fd = ::mkstemp(probe.data());
  if (fd < 0) bad_input("out: can't write into folder {}: {}", path_.string(), std::strerror(errno));
  ::close(fd);
  ::unlink(probe.c_str());
}

void RunFolder::write_log(const RunLog& log) {
  if (old_run_) return;  // an old run stays whole until this one is
  io::write_file(path_ / metrics_name, log.metrics);
  std::error_code ignored;
  if (log.history.empty()) {
    fs::remove(path_ / history_name, ignored);  // of an old run
  } else {
    io::write_file(path_ / history_name, log.history);
  }
}

void RunFolder::begin_result() {
  std::error_code error;
  fs::remove(path_ / report_name, error);
  fs::remove(path_ / summary_name, error);  // without it, no old summary can stand beside a new network
  if (error) failed_run("can't replace {}: {}", (path_ / summary_name).string(), error.message());
  old_run_ = false;
}

void RunFolder::write_result(const RunConfig& config, const RunResult& result, const RunLog& log) {
  begin_result();
  write_log(log);
  save(result.network, path_ / network_name);
  io::write_file(path_ / summary_name, summary(config, result));
  complete_ = true;
}

void RunFolder::write_weights(const nn::Module& net, const RunLog& log) {
  old_run_ = false;
  write_log(log);
  nn::save_state(net, path_ / float_name);
  complete_ = true;
}

FloatResult train_in_folder(const RunConfig& config, RunFolder& folder, train::Observer& observer) {
  LogWriter writer(folder, observer);
  FloatResult result = run_warm_up(config, writer);
  folder.write_weights(*result.net, writer.log());
  return result;
}

RunResult run_in_folder(const RunConfig& config, RunFolder& folder, train::Observer& observer) {
  LogWriter writer(folder, observer);
  RunResult result = run_search(config, writer);
  folder.write_result(config, result, writer.log());
  write_page(folder.path());
  return result;
}

std::string dated_folder() {
  const std::time_t now = std::time(nullptr);
  const std::string name = fmt::format("runs/{:%Y-%m-%d-%H%M%S}", fmt::localtime(now));
  std::string free = name;
  std::error_code error;
  for (int i = 2; fs::exists(free, error); ++i) free = fmt::format("{}-{}", name, i);
  return free;
}

FinishedRun load_run(const std::string& path, const std::string& data) {
  const Origin origin = read_origin(path);
  const std::string& spec = data.empty() ? origin.data : data;
  Graph network = load_graph(fs::path(path) / network_name);
  data::Dataset test = data::load(spec, origin.seed, 0.1, network.input_shape()).test;
  const Shape& output = network.nodes[static_cast<size_t>(network.output)].shape;
  const bool reconstructs = output.size() == network.input_shape().size();
  if (reconstructs) test.labels.clear();
  if (test.image_shape() != network.input_shape() || (!reconstructs && test.classes() != output.size())) {
    bad_input("data: '{}' has images {} of {} classes, but the network in {} takes {} and tells {}", spec, test.image_shape().str(),
              test.classes(), path, network.input_shape().str(), output.size());
  }
  return {.model = origin.model, .network = std::move(network), .test = std::move(test)};
}

std::optional<Graph> exported_network(const std::string& path) {
  std::error_code error;
  if (!fs::exists(fs::path(path) / summary_name, error)) return std::nullopt;
  return load_graph(fs::path(path) / network_name);
}

train::Score evaluate_run(const std::string& path, const std::string& data) {
  const FinishedRun run = load_run(path, data);
  return train::evaluate(run.network, run.test);
}

}  // namespace mixgrad::report
