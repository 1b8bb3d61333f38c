// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <mixgrad/error.h>
#include <mixgrad/front_run.h>

#include <src/internal/names.h>
#include <src/internal/suggest.h>

#include <fmt/ranges.h>

#include <algorithm>

namespace mixgrad::cli {
namespace {

/// Refuses the results of a forgotten value or an unset shell variable.
void check_given(const std::string& name, const std::string& text, const std::string& form) {
  if (text.empty()) bad_input("--{}: the value is empty: expected {}", name, form);
  if (text.starts_with("--")) bad_input("--{}: '{}' is not its value but a flag: expected {}", name, text, form);
}

}  // namespace

void Options::add(const std::string& name, const Variable& variable, const std::string& help, const std::string& form) {
  Option& option = options_.emplace_back(Option{.setting = {name, variable, form}, .text = {}, .flag = nullptr});
  if (std::holds_alternative<bool*>(variable)) {
    option.flag = command_
                      .add_flag_function(
                          "--" + name, [&option](int64_t) { option.text = "true"; }, help)
                      ->disable_flag_override();
    return;
  }
  option.flag = command_.add_option("--" + name, option.text, help);
  option.flag->type_name(form_of(option.setting))->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  option.flag->default_str(value_text(variable));
}

void Options::add(const Setting& setting, RunConfig& config, const std::string& help) {
  add(setting.name, setting.member(config), help.empty() ? setting.help : help, setting.form);
}

void Options::add_reading(RunConfig& config) {
  for (const char* name : {"image-size", "layout", "skip-unreadable"}) add(run_setting(name), config);
}

void Options::add_in_train(RunConfig& config) {
  for (const Setting& s : run_settings()) {
    if (!s.in_train) continue;
    const NamedVariable v = s.of_train(config);
    add(v.name, v.variable, s.in_train->help.empty() ? s.help : s.in_train->help, v.form);
  }
}

void Options::add_presets(RunConfig& config, void (*set)(RunConfig&, Effort)) {
  preset_ = &config;
  set_effort_ = set;
  add("effort", &effort_,
      "how long to train: sets warmup-epochs, search-epochs, finetune-epochs, lr and weight-decay, unless they are "
      "given");
}

void Options::add_config_file() {
  config_flag_ =
      command_.add_option("--config", config_file_, "TOML file whose keys are the names of flags; flags override it");
  config_flag_->type_name(file_form);
}

bool Options::given(const std::string& name) const {
  const auto named = [&](const Option& option) { return option.setting.name == name; };
  return std::ranges::find_if(options_, named)->flag->count() > 0;
}

void Options::apply() {
  read();
  if (preset_ == nullptr) return;
  if (preset_->from_front.empty())
    set_effort_(*preset_, effort_);
  else
    *preset_ = settings_from_front(preset_->from_front);
  read();
}

void Options::read() {
  if (config_flag_ != nullptr && config_flag_->count() > 0) {
    check_given("config", config_file_, config_flag_->get_type_name());
    std::vector<NamedVariable> all;
    for (const Option& option : options_) all.push_back(option.setting);
    set_from_toml(all, config_file_);
  }
  for (const Option& option : options_) {
    if (option.flag->count() == 0) continue;
    check_given(option.setting.name, option.text, option.flag->get_type_name());
    set_from_text(option.setting, option.text);
  }
}

void show_examples(CLI::App& command, const std::vector<std::string>& lines) {
  command.footer(fmt::format("Examples:\n  {}", fmt::join(lines, "\n  ")));
}

}  // namespace mixgrad::cli
