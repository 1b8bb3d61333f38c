// SPDX-License-Identifier: Apache-2.0
// Other programs, called with their words as they are: no shell reads them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace mixgrad {

/// A folder that goes away with the object, in `parent` or where temporary files go; throws failed_run where none can
/// be made.
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
  int exit_code;     ///< 128 + N where signal N ended it
  std::string said;  ///< on standard output and standard error
};

/// Runs `words` (a program, looked for in PATH unless it holds a slash, and its arguments) in `folder` and waits for
/// its end. Nothing where there is no such program.
std::optional<Ended> run_program(std::vector<std::string> words, const std::filesystem::path& folder);

}  // namespace mixgrad
