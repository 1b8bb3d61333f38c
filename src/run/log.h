// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/io.h>
#include <mixgrad/train.h>

#include <filesystem>
#include <map>
#include <string>

namespace mixgrad {

/// A file of lines that a run adds to: NAME.jsonl, or NAME.next.jsonl where an old run's is to stay whole until the new
/// run is.
class LogFile {
 public:
  LogFile(const std::filesystem::path& folder, const std::string& name, bool beside_old);

  /// On the disk when this returns. Throws failed_run, and the lines before stay.
  void add(const std::string& line);
  /// How far the file has come, "BYTES CHECKSUM".
  std::string place() const;
  /// Cuts off what was added after `place`. Throws bad_input where what comes before is not as it was.
  void go_back(const std::string& place);
  /// From here on it is NAME.jsonl, which there is even without lines.
  void replace_old();
  void remove() const;
  bool empty() const { return bytes_ == 0; }

 private:
  std::filesystem::path own_, next_, file_;  // `file_`: the one of the two that is written
  int64_t bytes_ = 0;
  io::Checksum sum_;
};

/// metrics.jsonl, and history.jsonl from the first epoch of a search on. A checkpoint says how far they have come: with
/// their lines it would grow with the run.
class RunLog {
 public:
  RunLog(const std::filesystem::path& folder, bool beside_old);

  void add(const train::EpochReport& epoch);
  std::map<std::string, std::string> places() const;
  /// Throws bad_input like LogFile, and where `places` names no place.
  void go_back(const std::map<std::string, std::string>& places);
  void replace_old();
  void remove() const;

 private:
  LogFile metrics_, history_;
};

}  // namespace mixgrad
