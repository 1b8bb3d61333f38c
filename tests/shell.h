// SPDX-License-Identifier: Apache-2.0
// Other programs, for tests that run them.
#pragma once

#include <filesystem>
#include <string>

namespace mixgrad::test {

/// `text` as one word of a shell's command.
std::string quoted(const std::string& text);

/// Whether a program of this name is installed.
bool has(const std::string& program);

/// Whether a program can be given a terminal: a chroot may have no /dev/pts.
bool has_terminals();

/// What a program told its user: notes, a line each, and the rest of standard error.
struct Told {
  std::string notes, rest;
};
Told told(const std::string& standard_error);

/// A folder that goes away with the test.
struct Folder {
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  /// Runs `command` in here; the test fails, and shows what the command said, unless it exits with 0.
  void run(const std::string& command) const;
  /// What the last command printed.
  std::string said() const;

  std::filesystem::path path;
};

}  // namespace mixgrad::test
