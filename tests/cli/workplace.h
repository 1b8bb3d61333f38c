// SPDX-License-Identifier: Apache-2.0
// The program, for end-to-end tests, and a temporary folder for its input and output.
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace mixgrad::test {

/// The path of `mixgrad`.
std::string binary();
/// Whether it runs under an emulator, where a program can't start itself again.
bool emulated();

/// A temporary folder with a tiny CIFAR-10 in it.
struct Workplace {
  Workplace();
  ~Workplace();
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;

  std::string path(const std::string& name) const { return root / name; }
  std::string data() const { return "cifar10:" + path("cifar"); }
  bool holds_only_data() const;

  std::filesystem::path root;
};

struct Outcome {
  int exit_code;
  std::string out, err;    ///< standard error without the notes
  std::string notes = {};  ///< lines "mixgrad: note: ..."
};

/// Runs the shell command `command` in `place`.
Outcome shell_run(const Workplace& place, const std::string& command);
/// Runs `mixgrad arguments` in `place`.
Outcome mixgrad_run(const Workplace& place, const std::string& arguments);
/// The start of a command that runs with several processes.
std::string mpirun(int members);

/// The arguments of a very short search.
std::string quick(const Workplace& place);

/// A user's table of costs: of conv2d and linear, at 2, 4 and 8 bits.
std::string chip_toml();

nlohmann::json parsed(const std::string& file);
std::vector<nlohmann::json> json_lines(const std::string& file);

/// Checks for one line on standard error that contains `word`, and nothing on standard output.
void check_complaint(const Outcome& outcome, int exit_code, const std::string& word);

/// Checks for no tabs, no terminal sequences and no lines over 100 columns except those that name a folder.
void check_plain_text(const std::string& text);

}  // namespace mixgrad::test
