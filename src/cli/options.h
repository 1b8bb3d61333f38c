// SPDX-License-Identifier: Apache-2.0
// Settings of a subcommand: each is a flag, and a key of a TOML file if the subcommand takes one.
#pragma once

#include <mixgrad/settings.h>

#include <CLI/CLI.hpp>

#include <deque>
#include <string>
#include <vector>

namespace mixgrad::cli {

class Options {
 public:
  /// `command` keeps references to this object.
  explicit Options(CLI::App& command) : command_(command) {}
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  /// Flag --`name`; help shows the variable's present value as the default. `form`: of NamedVariable.
  void add(const std::string& name, const Variable& variable, const std::string& help, const std::string& form = "");
  /// A setting of a run, in other words where `help` is given.
  void add(const Setting& setting, RunConfig& config, const std::string& help = "");
  /// Those of `mixgrad train`.
  void add_in_train(RunConfig& config);
  /// --config FILE, with the names of the flags added so far as keys.
  void add_config_file();

  /// Sets the variables: from the file, then from the command line, which wins. Throws bad_input naming the flag, or
  /// the file, line and key, that can't be right: a value of another type or form, or an empty one on the command line.
  void apply();
  /// Whether the command line holds the flag.
  bool given(const std::string& name) const;

 private:
  struct Option {
    NamedVariable setting;
    std::string text;  // as given on the command line
    CLI::Option* flag;
  };

  CLI::App& command_;
  std::deque<Option> options_;  // CLI11 keeps pointers to the texts
  CLI::Option* config_flag_ = nullptr;
  std::string config_file_;
};

// What values look like, for Options::add.
constexpr const char *folder_form = "DIR", *file_form = "FILE";

/// Ends the help of `command` with these command lines.
void show_examples(CLI::App& command, const std::vector<std::string>& lines);

}  // namespace mixgrad::cli
