// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensorboard.h"

#include <mixgrad/io.h>
#include <mixgrad/train.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace mixgrad {

/// A file of lines that a run appends to: NAME.jsonl, or NAME.next.jsonl if an old run's file must be kept until the
/// new run is complete.
class LogFile {
 public:
  LogFile(const std::filesystem::path& folder, const std::string& name, bool beside_old);

  /// The line is on disk when this returns. Throws failed_run and keeps the previous lines on failure.
  void add(const std::string& line);
  /// The file's length and checksum so far: "BYTES CHECKSUM".
  std::string place() const;
  /// Removes what was added after `place`. Throws bad_input if anything before it has changed.
  void go_back(const std::string& place);
  /// Makes the file NAME.jsonl, even if it has no lines.
  void replace_old();
  void remove() const;
  int64_t lines() const { return lines_; }
  bool is_beside_old() const { return file_ != own_; }

 private:
  std::filesystem::path own_, next_, file_;  // `file_`: the one being written
  int64_t bytes_ = 0, lines_ = 0;
  io::Checksum sum_;
};

/// metrics.jsonl and, from the first epoch of a search on, history.jsonl. Checkpoints hold their places, not their
/// lines, so that they do not grow with the run. The epochs also go to TensorBoard's folder, unless that is empty.
class RunLog {
 public:
  /// Throws bad_input if nothing can be written to `tensorboard`.
  RunLog(const std::filesystem::path& folder, bool beside_old, const std::string& tensorboard);

  /// Throws failed_run like LogFile. Where only TensorBoard's folder fails, this and later epochs are missing there,
  /// and the result says so.
  std::string add(const train::EpochReport& epoch);
  std::map<std::string, std::string> places() const;
  /// Throws bad_input like LogFile, and if a place is missing from `places`.
  void go_back(const std::map<std::string, std::string>& places);
  void replace_old();
  void remove() const;
  bool is_beside_old() const { return metrics_.is_beside_old(); }

 private:
  LogFile metrics_, history_;
  std::optional<TensorBoard> tensorboard_;
};

}  // namespace mixgrad
