// SPDX-License-Identifier: Apache-2.0
// Runs other programs in tests.
#pragma once

#include <filesystem>
#include <string>

namespace mixgrad::test {

/// `text` as one shell word.
std::string quoted(const std::string& text);

/// Whether a program of this name is installed.
bool has(const std::string& program);

/// Whether programs can be given a terminal: a chroot may have no /dev/pts.
bool has_terminals();

/// A program's messages to its user: notes, one per line, and the rest of standard error.
struct Told {
  std::string notes, rest;
};
Told told(const std::string& standard_error);

/// A temporary folder.
struct Folder {
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  /// Runs `command` in this folder; unless it exits with 0, the test fails and shows its output.
  void run(const std::string& command) const;
  /// The output of the last command.
  std::string said() const;

  std::filesystem::path path;
};

}  // namespace mixgrad::test
