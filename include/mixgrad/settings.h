// SPDX-License-Identifier: Apache-2.0
// Settings: variables that users set by name, and the table of a run's settings. Flags, TOML files, summary.json,
// checkpoints and the command that repeats a run all use this table.
#pragma once

#include <mixgrad/run_config.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

namespace mixgrad {

/// A variable of an enum type with names_of, set and read by name.
class Choice {
 public:
  template <typename Enum>
  requires(std::is_enum_v<Enum>) Choice(Enum* variable)
      : name_([variable] { return name_of(*variable); }), set_([variable](std::string_view name) {
          const std::optional<Enum> value = find_by_name<Enum>(name);
          if (value) *variable = *value;
          return value.has_value();
        }) {
    for (const Named<Enum>& named : names_of(*variable)) form_ += (form_.empty() ? "" : "|") + std::string(named.name);
  }

  std::string name() const { return name_(); }
  /// Returns false if no value has this name.
  bool set(std::string_view name) const { return set_(name); }
  /// "per-layer|per-channel"
  const std::string& form() const { return form_; }

 private:
  std::function<std::string()> name_;
  std::function<bool(std::string_view)> set_;
  std::string form_;
};

/// A pointer to the variable that holds a setting's value.
using Variable =
    std::variant<std::string*, int*, int64_t*, uint64_t*, double*, std::optional<double>*, bool*, std::vector<int>*,
                 std::vector<uint64_t>*, std::vector<double>*, std::vector<std::string>*, Choice>;

/// A variable and its name, as a flag and as a key in TOML files.
struct NamedVariable {
  std::string name;
  Variable variable;
  /// The form of a value, or of each item of a list: words, and placeholders in capitals, like "pact|lsq" or
  /// "glyphs|idx:DIR". "": any value of the type.
  std::string form = "";
};

/// The value in the help text: its form, or a placeholder for the type.
std::string form_of(const NamedVariable& v);
/// The value as text, for defaults in the help text; "" if unset.
std::string value_text(const Variable& variable);
/// Sets the variable from the text of a flag. Throws bad_input naming the flag and what is expected.
void set_from_text(const NamedVariable& v, const std::string& text);
/// Sets the variables whose keys are in the TOML file. Throws bad_input naming file, line and key of an unknown key or
/// a value of the wrong type or form.
void set_from_toml(std::span<const NamedVariable> variables, const std::string& file);
/// The content of a file from which set_from_toml restores the current values; the same values give the same bytes.
/// Throws bad_input for text that is not UTF-8.
std::string to_toml(std::span<const NamedVariable> variables);
/// Throws bad_input unless `value` has this form, listing the alternatives and the one probably meant.
void check_form(const std::string& where, const std::string& value, const std::string& form);

/// A setting of a run: a row of the table of settings.
struct Setting {
  /// What the value affects: the result, only the checks made during the run, or only its speed.
  enum class Effect { result, checks, speed };
  /// Its name and help in `mixgrad train`, a run that ends after the warm-up; "": the same.
  struct InTrain {
    std::string name = "", help = "";
  };
  /// Its part in `mixgrad front`: none, one that the networks picked later share, or one of the training only.
  enum class InFront { no, fixes, trains };
  /// A pointer to the member of RunConfig that it sets.
  class Member {
   public:
    template <typename T>
    Member(T RunConfig::*member) : variable_([member](RunConfig& config) { return Variable(&(config.*member)); }) {}
    Variable operator()(RunConfig& config) const { return variable_(config); }

   private:
    std::function<Variable(RunConfig&)> variable_;
  };

  std::string name;
  Member member;
  std::string help;
  std::string form = "";                 ///< as in NamedVariable
  std::optional<InTrain> in_train = {};  ///< unset: not used by the warm-up
  std::string (*absolute)(const std::string& value) =
      nullptr;  ///< makes paths absolute, so that the value is valid in any folder
  Effect effect = Effect::result;
  InFront in_front = InFront::fixes;
  bool in_search = true;  ///< a setting of `mixgrad search`

  NamedVariable of(RunConfig& config) const { return {name, member(config), form}; }
  /// The same for `mixgrad train`, which must have this setting.
  NamedVariable of_train(RunConfig& config) const {
    return {in_train->name.empty() ? name : in_train->name, member(config), form};
  }
};

/// The table, in the order of the help text.
std::span<const Setting> run_settings();
/// The setting with this name. Throws bad_input if there is none.
const Setting& run_setting(std::string_view name);

/// The same run with absolute paths, so that it can be repeated from any folder.
RunConfig from_any_folder(RunConfig config);
/// The settings that determine a run's result, as text by name. A resumed run must have the same. Paths are absolute.
std::map<std::string, std::string> decisive_settings(const RunConfig& config);
/// Each of the settings `compared` that has another value than `before` (decisive_settings of an earlier run), in
/// words.
std::vector<std::string> changed_settings(const std::map<std::string, std::string>& before, const RunConfig& now,
                                          const std::function<bool(const Setting&)>& compared);
/// The command line that repeats the run from any folder: `mixgrad search` with all settings that differ from their
/// defaults, quoted for a shell.
std::string search_command(const RunConfig& config);
/// The settings that determine what the run computes, as a file for `mixgrad search --config` or `mixgrad train
/// --config`.
std::string search_toml(RunConfig config);
std::string train_toml(RunConfig config);

}  // namespace mixgrad
