// SPDX-License-Identifier: Apache-2.0
// Settings of a subcommand: each is a flag, and a key of a TOML file if the subcommand takes one.
#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace mixgrad::cli {

class Options {
 public:
  using Target =
      std::variant<std::string*, int*, int64_t*, uint64_t*, double*, std::optional<double>*, bool*, std::vector<int>*,
                   std::vector<uint64_t>*, std::vector<double>*, std::vector<std::string>*>;

  /// `command` keeps references to this object.
  explicit Options(CLI::App& command) : command_(command) {}
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  /// Flag --`name`; help shows the target's present value as the default. `form` is what a value looks like: words and
  /// placeholders in capitals, like "f32|bf16" or "glyphs|idx:DIR" (of a list, each item); without one, a placeholder
  /// for the target's type.
  void add(const std::string& name, Target target, const std::string& help, const std::string& form = "");
  /// --config FILE, with the names of the flags added so far as keys.
  void add_config_file();

  /// Sets the targets: from the file, then from the command line, which wins. Throws bad_input naming the flag, or
  /// the file, line and key, that can't be right: a value of another type or form, or an empty one on the command line.
  void apply();
  /// Whether the command line holds the flag.
  bool given(const std::string& name) const;
  /// The targets' present values as a file for --config; the same values give the same bytes.
  std::string toml() const;

 private:
  struct Option {
    std::string name;
    Target target;
    std::string form;  // empty: any value of the target's type
    std::string text;  // as given on the command line
    CLI::Option* flag;
  };

  void read_file();
  /// Of `where`, a flag or a place in the file, which has just set the option's target.
  static void check_value(const std::string& where, const Option& option);

  CLI::App& command_;
  std::deque<Option> options_;  // CLI11 keeps pointers to the texts
  CLI::Option* config_flag_ = nullptr;
  std::string config_file_;
};

/// Throws bad_input naming the alternatives, and the one that may have been meant, unless `value` has this form.
void check_form(const std::string& where, const std::string& value, const std::string& form);

/// Ends the help of `command` with these command lines.
void show_examples(CLI::App& command, const std::vector<std::string>& lines);

}  // namespace mixgrad::cli
