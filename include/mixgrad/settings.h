// SPDX-License-Identifier: Apache-2.0
// Settings: variables that users set by name, and the table of those of a run. Flags, TOML files, summary.json,
// checkpoints and the command that repeats a run all read it.
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

/// A variable of an enum that has names_of, set and read by name.
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
  /// False where no value has this name.
  bool set(std::string_view name) const { return set_(name); }
  /// "per-layer|per-channel"
  const std::string& form() const { return form_; }

 private:
  std::function<std::string()> name_;
  std::function<bool(std::string_view)> set_;
  std::string form_;
};

/// Where a setting's value is kept.
using Variable =
    std::variant<std::string*, int*, int64_t*, uint64_t*, double*, std::optional<double>*, bool*, std::vector<int>*,
                 std::vector<uint64_t>*, std::vector<double>*, std::vector<std::string>*, Choice>;

/// A variable under the name that a flag and a key of a TOML file have for it.
struct NamedVariable {
  std::string name;
  Variable variable;
  /// What a value looks like, of a list each item: words and placeholders in capitals, like "pact|lsq" or
  /// "glyphs|idx:DIR". "": any value of the type.
  std::string form = "";
};

/// What help shows for a value: its form, or a placeholder for the type.
std::string form_of(const NamedVariable& v);
/// The value as help shows it; "" where there is none.
std::string value_text(const Variable& variable);
/// Sets it to the text of a flag. Throws bad_input naming the flag and what would be right.
void set_from_text(const NamedVariable& v, const std::string& text);
/// Sets the variables whose keys are in the TOML file. Throws bad_input naming the file, line and key that can't be
/// right: an unknown key, a value of another type or form.
void set_from_toml(std::span<const NamedVariable> variables, const std::string& file);
/// A file for set_from_toml that gives them their present values; the same values give the same bytes. Throws bad_input
/// for text that is not UTF-8.
std::string to_toml(std::span<const NamedVariable> variables);
/// Throws bad_input naming the alternatives, and the one that may have been meant, unless `value` has this form.
void check_form(const std::string& where, const std::string& value, const std::string& form);

/// A setting of a run: a row of the table.
struct Setting {
  /// What changes with its value: the result, only what is checked on the way, or only how fast it is.
  enum class Effect { result, checks, speed };
  /// What `mixgrad train`, a run that ends after the warm-up, calls it; "": the same.
  struct InTrain {
    std::string name = "", help = "";
  };
  /// A pointer to the member that it sets.
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
  std::string form = "";                                        ///< of NamedVariable
  std::optional<InTrain> in_train = {};                         ///< none: the warm-up does not ask for it
  std::string (*absolute)(const std::string& value) = nullptr;  ///< the same value, from any folder: paths are absolute
  Effect effect = Effect::result;

  NamedVariable of(RunConfig& config) const { return {name, member(config), form}; }
  /// The same of `mixgrad train`, which must have it.
  NamedVariable of_train(RunConfig& config) const {
    return {in_train->name.empty() ? name : in_train->name, member(config), form};
  }
};

/// The table, in the order of help.
std::span<const Setting> run_settings();
/// Throws bad_input when there is none of this name.
const Setting& run_setting(std::string_view name);

/// The same run, told from any folder: its paths are absolute.
RunConfig from_any_folder(RunConfig config);
/// What decides a run's result, as text by name: a run is resumed with the same. Paths are absolute.
std::map<std::string, std::string> decisive_settings(const RunConfig& config);
/// The command line that repeats the run from any folder: `mixgrad search` with what is not at its default, quoted for
/// a shell.
std::string search_command(const RunConfig& config);
/// What the run is to compute, as a file for `mixgrad search --config`, or train's.
std::string search_toml(RunConfig config);
std::string train_toml(RunConfig config);

}  // namespace mixgrad
