// SPDX-License-Identifier: Apache-2.0
// Settings of a subcommand: each is a flag and, if the subcommand has --config, a key of its TOML file.
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

  /// Adds the flag --`name`. Help shows the variable's current value as the default. `form`: as in NamedVariable.
  void add(const std::string& name, const Variable& variable, const std::string& help, const std::string& form = "");
  /// Adds a setting of a run; `help` replaces its own help text if not empty.
  void add(const Setting& setting, RunConfig& config, const std::string& help = "");
  /// Adds the settings on how data are read.
  void add_reading(RunConfig& config);
  /// Adds the settings of `mixgrad train`.
  void add_in_train(RunConfig& config);
  /// Adds --effort, a preset of the settings that `set` changes: their own flags and keys override it. So does a front
  /// that --from-front names: its settings are then those of `config`.
  void add_presets(RunConfig& config, void (*set)(RunConfig&, Effort) = set_effort);
  /// Adds --config FILE, whose keys are the names of the flags added so far.
  void add_config_file();

  /// Sets the variables from the file and then from the command line, which overrides it. Throws bad_input naming the
  /// flag, or the file, line and key, of a value of the wrong type or form or an empty one on the command line.
  void apply();
  /// Whether the flag is on the command line.
  bool given(const std::string& name) const;

 private:
  struct Option {
    NamedVariable setting;
    std::string text;  // as given on the command line
    CLI::Option* flag;
  };

  void read();

  CLI::App& command_;
  RunConfig* preset_ = nullptr;
  void (*set_effort_)(RunConfig&, Effort) = nullptr;
  Effort effort_ = Effort::quick;
  std::deque<Option> options_;  // CLI11 keeps pointers to the texts
  CLI::Option* config_flag_ = nullptr;
  std::string config_file_;
};

// Forms of values, for Options::add.
constexpr const char *folder_form = "DIR", *file_form = "FILE";

/// Adds these command lines as examples at the end of the help of `command`.
void show_examples(CLI::App& command, const std::vector<std::string>& lines);

}  // namespace mixgrad::cli
