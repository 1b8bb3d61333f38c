// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <mixgrad/error.h>
#include <mixgrad/run_folder.h>

#include <fmt/core.h>

#include <charconv>
#include <string_view>

namespace mixgrad {
namespace {

namespace fs = std::filesystem;

constexpr const char *metrics_key = "metrics", *history_key = "history";

std::string place_text(int64_t bytes, const io::Checksum& sum) { return fmt::format("{} {}", bytes, sum.str()); }

struct Lines {
  int64_t count = 0;
  io::Checksum sum;
};

/// The lines in the file's first `bytes`; none if there is no such file.
Lines lines_of(const fs::path& file, int64_t bytes) {
  Lines lines;
  std::error_code error;
  if (!fs::exists(file, error)) return lines;
  const std::string content = io::read_file(file).substr(0, static_cast<size_t>(bytes));
  for (size_t begin = 0, end = 0; (end = content.find('\n', begin)) != std::string::npos; begin = end + 1) {
    lines.sum.add(std::string_view(content).substr(begin, end + 1 - begin));
    ++lines.count;
  }
  return lines;
}

}  // namespace

LogFile::LogFile(const fs::path& folder, const std::string& name, bool beside_old)
    : own_(folder / (name + ".jsonl")), next_(folder / (name + ".next.jsonl")), file_(beside_old ? next_ : own_) {}

void LogFile::add(const std::string& line) {
  const std::string content = line + "\n";
  io::write_at(file_, bytes_, content);
  bytes_ += std::ssize(content);
  ++lines_;
  sum_.add(content);
}

std::string LogFile::place() const { return place_text(bytes_, sum_); }

void LogFile::go_back(const std::string& place) {
  if (place == this->place()) return remove();  // no lines at the checkpoint
  std::from_chars(place.data(), place.data() + place.size(), bytes_);
  for (const fs::path& file : {next_, own_}) {  // either of them, if the run was killed while one replaced the other
    const Lines lines = lines_of(file, bytes_);
    if (place_text(bytes_, lines.sum) != place) continue;
    file_ = file;
    lines_ = lines.count;
    sum_ = lines.sum;
    return io::write_at(file_, bytes_, "");
  }
  bad_input(
      "resume: {} has changed since the checkpoint: expected its first {} bytes unchanged: restore it or start again "
      "with --overwrite",
      own_.string(), bytes_);
}

void LogFile::replace_old() {
  if (lines_ == 0) io::write_at(file_, 0, "");
  std::error_code error;
  if (is_beside_old()) fs::rename(file_, own_, error);
  if (error) failed_run("can't replace {}: {}", own_.string(), error.message());
  file_ = own_;
}

void LogFile::remove() const {
  std::error_code ignored;
  fs::remove(file_, ignored);
}

RunLog::RunLog(const fs::path& folder, bool beside_old, const std::string& tensorboard)
    : metrics_(folder, "metrics", beside_old), history_(folder, "history", beside_old) {
  if (!tensorboard.empty()) tensorboard_.emplace(tensorboard);
}

std::string RunLog::add(const train::EpochReport& epoch) {
  metrics_.add(metrics_line(epoch));
  if (!epoch.alphas.empty()) history_.add(history_line(epoch));
  try {
    if (tensorboard_) tensorboard_->add(epoch, metrics_.lines());
    return "";
  } catch (const Error& e) {
    tensorboard_.reset();
    return fmt::format("tensorboard: {}: nothing more is written there", e.what());
  }
}

std::map<std::string, std::string> RunLog::places() const {
  return {{metrics_key, metrics_.place()}, {history_key, history_.place()}};
}

void RunLog::go_back(const std::map<std::string, std::string>& places) {
  for (const auto& [key, file] : {std::pair{metrics_key, &metrics_}, std::pair{history_key, &history_}}) {
    const auto place = places.find(key);
    if (place == places.end())
      bad_input("resume: the checkpoint does not give the length of {}.jsonl: start again with --overwrite", key);
    file->go_back(place->second);
  }
}

void RunLog::replace_old() {
  metrics_.replace_old();
  history_.replace_old();
  if (history_.lines() == 0) history_.remove();
}

void RunLog::remove() const {
  metrics_.remove();
  history_.remove();
}

}  // namespace mixgrad
