// SPDX-License-Identifier: Apache-2.0
// A run's folder: checked before anything is written to it; files are written completely or not at all.
#include "checkpoint_files.h"
#include "file_names.h"
#include "log.h"
#include "origin.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/run_folder.h>

#include <fmt/chrono.h>

#include <cerrno>
#include <ctime>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace mixgrad {
namespace {

namespace fs = std::filesystem;

/// Files that show that a folder holds a run.
constexpr const char* signs[] = {summary_name, "metrics.jsonl", "history.jsonl", network_name, float_name, front_name};
constexpr const char* log_prefix = "log/";

}  // namespace

RunFolder::RunFolder(const std::string& path, const RunFolderOptions& options)
    : path_(fs::absolute(path)), checkpoint_minutes_(options.checkpoint_minutes) {
  if (options.overwrite && options.resume)
    bad_input("out: --overwrite starts again and --resume continues a run: set only one of them");
  if (!(checkpoint_minutes_ >= 0))
    bad_input("checkpoint-minutes: {} is not possible: expected 0 or more", checkpoint_minutes_);
  if (!path_.has_filename()) path_ = path_.parent_path();  // "runs/a/" is runs/a
  std::error_code error;
  const bool stopped = CheckpointFiles(path_).any();
  bool result = false;
  for (const char* name : {summary_name, float_name, front_name}) result = result || fs::exists(path_ / name, error);
  finished_ = options.resume && result && !stopped;
  resumes_ = options.resume && stopped;
  foreign_checkpoints_ = !options.resume && stopped;
  bool old_run = result;
  if (!options.resume) {
    for (const char* name : signs) old_run = old_run || fs::exists(path_ / name, error);
    if (stopped && !options.overwrite)
      bad_input("out: {} holds a stopped run: continue it with --resume or replace it with --overwrite", path);
    if (old_run && !options.overwrite)
      bad_input("out: {} already holds a run: choose another folder or replace it with --overwrite", path);
  }
  try {
    make_folders();
    io::check_folder(path_);
    lock();
    if (options.resume) clear_leftovers();
    log_ = std::make_unique<RunLog>(path_, old_run, options.tensorboard);
    foreign_report_ = !resumes_ && fs::exists(path_ / report_name, error);
  } catch (...) {
    remove_empty();
    throw;
  }
}

RunFolder::~RunFolder() {
  if (log_ && !complete_ && !CheckpointFiles(path_).any()) {  // the run failed
    log_->remove();
    std::error_code ignored;
    if (reported_) fs::remove(path_ / report_name, ignored);
  }
  remove_empty();
  if (lock_ >= 0) ::close(lock_);
}

/// Two runs would overwrite each other's files. Not every file system can lock; there, this is not checked.
void RunFolder::lock() {
  lock_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ >= 0 && ::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(lock_);
    bad_input("out: another run is writing into {}", path_.string());
  }
}

/// Removes incomplete files of a run that was killed.
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
  if (std::exchange(foreign_checkpoints_, false)) {
    CheckpointFiles(path_).remove();
    std::error_code ignored;
    if (!fs::exists(path_ / summary_name, ignored)) fs::remove(path_ / report_name, ignored);  // of the stopped run
  }
  CheckpointFiles(path_).write(std::move(content));
}

void RunFolder::drop_checkpoints() {
  if (!foreign_checkpoints_) CheckpointFiles(path_).remove();
}

void RunFolder::remove_empty() {
  std::error_code ignored;
  for (; !made_.empty(); made_.pop_back())
    fs::remove(made_.back(), ignored);  // fails for a folder with files in it, as it should
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

std::string RunFolder::add(const train::EpochReport& epoch) { return log_->add(epoch); }

bool RunFolder::reports_epochs() const { return !foreign_report_ && !log_->is_beside_old(); }

void RunFolder::report(const std::function<void(const std::string& path)>& render) {
  if (!render || !reports_epochs()) return;
  try {
    render(path_);
    reported_ = true;
  } catch (const Error&) {  // a run does not end because a report on its first epochs can't be written
  }
}

void RunFolder::begin_result() {
  std::error_code error;
  if (!reported_) fs::remove(path_ / report_name, error);  // a page that loads itself again is replaced instead
  fs::remove(path_ / summary_name, error);  // first, so that no old summary is ever next to a new network
  if (error) failed_run("can't replace {}: {}", (path_ / summary_name).string(), error.message());
  for (const char* name : {network_name, confusion_name, teacher_name}) fs::remove(path_ / name, error);
  log_->replace_old();
}

void RunFolder::write_result(const RunConfig& config, const RunResult& result) {
  begin_result();
  save(result.network, path_ / network_name);
  if (result.teacher) write_teacher(*result.teacher, path_ / teacher_name);
  if (!result.confusion.empty()) io::write_file(path_ / confusion_name, confusion_text(result));
  io::write_file(path_ / summary_name, summary(config, result));
  complete_ = true;
}

void RunFolder::write_weights(const FloatResult& result) {
  begin_result();
  io::write_safetensors(path_ / float_name, float_weights(result));
  complete_ = true;
}

void RunFolder::write_front(const FrontResult& result) {
  begin_result();
  std::error_code error;
  fs::remove(path_ / front_name, error);
  io::write_file(path_ / front_table_name, front_table(result));
  io::write_safetensors(path_ / front_name, front_file(result));
  complete_ = true;
}

std::string dated_folder() {
  const std::time_t now = std::time(nullptr);
  const std::string name = fmt::format("runs/{:%Y-%m-%d-%H%M%S}", fmt::localtime(now));
  std::string free = name;
  std::error_code error;
  for (int i = 2; fs::exists(free, error); ++i) free = fmt::format("{}-{}", name, i);
  return free;
}

}  // namespace mixgrad
