// SPDX-License-Identifier: Apache-2.0
// A run's settings as text, for files and command lines.
#include "settings_json.h"

#include <mixgrad/settings.h>

#include <src/internal/json.h>
#include <src/internal/names.h>

#include <fmt/core.h>

namespace mixgrad {
namespace {

using nlohmann::ordered_json;

ordered_json to_json(const Choice& choice) { return choice.name(); }
ordered_json to_json(const std::optional<double>* value) { return *value ? ordered_json(**value) : ordered_json(); }
template <typename T>
ordered_json to_json(const T* value) {
  return *value;
}

/// The value as text for a flag.
std::string text_of(const ordered_json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return json_text(value);
  std::string list;
  for (const ordered_json& item : value) list += (list.empty() ? "" : ",") + text_of(item);
  return list;
}

/// One flag with its value.
std::string flag(const std::string& name, const ordered_json& value) {
  return value.is_boolean() ? " --" + name : fmt::format(" --{} {}", name, shell_word(text_of(value)));
}

/// Whether a setting determines what is computed, not just how fast.
bool is_of_task(const Setting& setting) { return setting.effect != Setting::Effect::speed; }

/// The settings that `listed` chooses.
template <typename Listed>
ordered_json values(const RunConfig& config, const Listed& listed) {
  RunConfig c = from_any_folder(config);
  ordered_json out;
  for (const Setting& s : run_settings()) {
    if (listed(s)) out[s.name] = std::visit([](const auto& variable) { return to_json(variable); }, s.member(c));
  }
  return out;
}

}  // namespace

ordered_json settings_json(const RunConfig& config) {
  return values(config, [](const Setting& s) { return s.in_search; });
}

RunConfig from_any_folder(RunConfig config) {
  for (const Setting& s : run_settings()) {
    if (s.absolute == nullptr) continue;
    std::string& value = *std::get<std::string*>(s.member(config));
    value = s.absolute(value);
  }
  return config;
}

std::map<std::string, std::string> decisive_settings(const RunConfig& config) {
  const ordered_json all = values(config, [](const Setting& s) { return s.effect == Setting::Effect::result; });
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : all.items()) {
    const std::string text = text_of(value);
    out[name] = is_utf8(text) ? text : shell_word(text);  // a path that a checkpoint could not hold unquoted
  }
  return out;
}

std::vector<std::string> changed_settings(const std::map<std::string, std::string>& before, const RunConfig& now,
                                          const std::function<bool(const Setting&)>& compared) {
  std::vector<std::string> out;
  for (const auto& [name, value] : decisive_settings(now)) {
    const auto found = before.find(name);
    if (!compared(run_setting(name)) || found == before.end() || found->second == value) continue;
    out.push_back(fmt::format("{} is '{}' now, but was '{}'", name, value, found->second));
  }
  return out;
}

std::string search_command(const RunConfig& config) {
  const ordered_json given = settings_json(config), defaults = settings_json({});
  std::string out = "mixgrad search";
  for (const auto& [name, value] : given.items()) {
    if (value != defaults.at(name)) out += flag(name, value);
  }
  return out;
}

std::string search_toml(RunConfig config) {
  std::vector<NamedVariable> variables;
  for (const Setting& s : run_settings()) {
    if (is_of_task(s) && s.in_search) variables.push_back(s.of(config));
  }
  return to_toml(variables);
}

std::string train_toml(RunConfig config) {
  std::vector<NamedVariable> variables;
  for (const Setting& s : run_settings()) {
    if (is_of_task(s) && s.in_train) variables.push_back(s.of_train(config));
  }
  return to_toml(variables);
}

}  // namespace mixgrad
