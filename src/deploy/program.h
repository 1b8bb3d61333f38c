// SPDX-License-Identifier: Apache-2.0
// Runs other programs, without a shell.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace mixgrad {

/// A temporary folder, deleted with the object, in `parent` or the system's default place. Throws failed_run if it
/// can't be created.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::filesystem::path& parent = {});
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct Ended {
  int exit_code;     ///< 128 + N if signal N ended it
  std::string said;  ///< standard output and standard error

  std::string first_line() const;  ///< of what it said
};

/// The words of a command, separated by white space.
std::vector<std::string> words_of(const std::string& command);

/// Runs `words` (a program, searched for in PATH unless it contains a slash, and its arguments) in `folder` and waits
/// for it. Returns nothing if there is no such program.
std::optional<Ended> run_program(std::vector<std::string> words, const std::filesystem::path& folder);

}  // namespace mixgrad
