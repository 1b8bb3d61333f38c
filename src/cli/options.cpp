// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <src/internal/names.h>
#include <src/internal/suggest.h>

#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <sstream>
#include <utility>

#include <fnmatch.h>

namespace mixgrad::cli {
namespace {

template <typename... Functions>
struct Overload : Functions... {
  using Functions::operator()...;
};
template <typename... Functions>
Overload(Functions...) -> Overload<Functions...>;

// What each kind of target is called in messages.
const char* kind(const std::string&) { return "text"; }
const char* kind(double) { return "a number"; }
const char* kind(const std::optional<double>&) { return "a number"; }
const char* kind(const std::vector<int>&) { return "whole numbers like 2,4,8"; }
const char* kind(const std::vector<uint64_t>&) { return "whole numbers from 0 on, like 1,2,3"; }
const char* kind(const std::vector<double>&) { return "numbers like 1e-7,3e-7"; }
const char* kind(const std::vector<std::string>&) { return "a list with commas"; }
const char* kind(bool) { return "true or false"; }
const char* kind(int) { return "a whole number"; }
const char* kind(int64_t) { return "a whole number"; }
const char* kind(uint64_t) { return "a whole number from 0 on"; }

std::string placeholder(const Options::Target& target) {
  return std::visit(
      Overload{[](std::string*) { return "TEXT"; }, [](std::vector<std::string>*) { return "TEXT,TEXT,..."; },
               []<typename T>(std::vector<T>*) { return "N,N,..."; }, [](auto*) { return "N"; }},
      target);
}

std::string default_text(const Options::Target& target) {
  return std::visit(
      Overload{[](std::optional<double>* value) { return *value ? fmt::format("{}", **value) : std::string(); },
               []<typename T>(std::vector<T>* value) { return fmt::format("{}", fmt::join(*value, ",")); },
               [](auto* value) { return fmt::format("{}", *value); }},
      target);
}

// --- from the command line ------------------------------------------------------------------------------------

template <typename Number>
bool parse(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse(const std::string& text, std::string& value) {
  value = text;
  return true;
}

bool parse(const std::string& text, std::optional<double>& value) {
  double number = 0;
  const bool good = parse(std::string_view(text), number);
  if (good) value = number;
  return good;
}

bool parse(const std::string& text, bool& value) {
  value = text == "true";
  return value || text == "false";
}

template <typename Item>
bool parse(const std::string& text, std::vector<Item>& values) {
  values.clear();
  for (std::string_view rest = text; !rest.empty();) {
    const std::string item(rest.substr(0, rest.find(',')));
    if (!parse(item, values.emplace_back())) return false;
    if (item.size() + 1 == rest.size()) return false;  // ends with a comma
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
  }
  return true;
}

// --- the form of a value --------------------------------------------------------------------------------------

bool is_capital(char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; }

/// Whether `value` is the word `part` of a form, or what its capitals stand for. Behind a colon, anything is; a file of
/// another kind than FILE.onnx is left to whoever reads it, who knows what would help.
bool fits(const std::string& value, std::string part) {
  if (part.starts_with("FILE.")) return value.find('.') != std::string::npos;
  const auto colon = part.find(':');
  if (colon != std::string::npos) return value.size() > colon + 1 && value.starts_with(part.substr(0, colon + 1));
  std::string pattern;
  for (size_t i = 0; i < part.size(); ++i) {
    if (!is_capital(part[i]))
      pattern += part[i];
    else if (i == 0 || !is_capital(part[i - 1]))
      pattern += "?*";
  }
  return ::fnmatch(pattern.c_str(), value.c_str(), 0) == 0;
}

/// The part of a form that may have been meant: words as they are, "cifar10:DIR" by what stands before the colon.
std::string part_meant(const std::string& value, const std::vector<std::string>& parts) {
  std::vector<std::string> words, kinds;
  for (const std::string& part : parts) {
    (std::ranges::any_of(part, is_capital) ? kinds : words).push_back(part);
  }
  const std::string word = nearest(value, words);
  if (!word.empty()) return word;
  std::erase_if(kinds, [](const std::string& kind) { return kind.find(':') == std::string::npos; });
  std::vector<std::string> prefixes;
  for (const std::string& kind : kinds) prefixes.push_back(kind.substr(0, kind.find(':')));
  const std::string prefix = nearest(value.substr(0, value.find(':')), prefixes);
  const auto found = std::ranges::find(prefixes, prefix);
  return found == prefixes.end() ? "" : kinds[static_cast<size_t>(found - prefixes.begin())];
}

/// Refuses what a forgotten value, or a shell's variable that is not set, leaves for one.
void check_given(const std::string& name, const std::string& text, const std::string& form) {
  if (text.empty()) bad_input("--{}: the value is empty: expected {}", name, form);
  if (text.starts_with("--")) bad_input("--{}: '{}' stands where its value should: expected {}", name, text, form);
}

// --- from a TOML file -----------------------------------------------------------------------------------------

bool convert(const toml::node& node, std::string& value) {
  if (!node.is_string()) return false;
  value = node.as_string()->get();
  return true;
}

bool convert(const toml::node& node, double& value) {
  if (!node.is_number()) return false;
  value = *node.value<double>();
  return true;
}

bool convert(const toml::node& node, std::optional<double>& value) { return convert(node, value.emplace()); }

bool convert(const toml::node& node, bool& value) {
  if (!node.is_boolean()) return false;
  value = node.as_boolean()->get();
  return true;
}

template <typename Integer>
bool convert(const toml::node& node, Integer& value) {
  if (!node.is_integer()) return false;
  const int64_t number = node.as_integer()->get();
  value = static_cast<Integer>(number);
  return std::in_range<Integer>(number);
}

template <typename Item>
bool convert(const toml::node& node, std::vector<Item>& values) {
  values.clear();
  if (!node.is_array()) return convert(node, values.emplace_back());
  return std::ranges::all_of(*node.as_array(),
                             [&](const toml::node& item) { return convert(item, values.emplace_back()); });
}

// --- and to one -----------------------------------------------------------------------------------------------

std::string toml_text(const std::string& value) {
  if (!is_utf8(value))
    bad_input("'{}' is not UTF-8, so that no settings file can hold it: expected another name", value);
  std::ostringstream out;
  out << toml::value(value);
  return out.str();
}
template <typename T>
std::string toml_text(const T& value) {
  return fmt::format("{}", value);
}

template <typename Item>
std::string toml_text(const std::vector<Item>& values) {
  std::vector<std::string> texts;
  for (const Item& value : values) texts.push_back(toml_text(value));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

toml::table parse_toml(const std::string& file) {
  const std::string content = io::read_file(file);
  try {
    return toml::parse(content, file);
  } catch (const toml::parse_error& e) {
    bad_input("{}:{}: not TOML from column {} on: expected lines like batch-size = 128", file, e.source().begin.line,
              e.source().begin.column);
  }
}

}  // namespace

void Options::add(const std::string& name, Target target, const std::string& help, const std::string& form) {
  Option& option =
      options_.emplace_back(Option{.name = name, .target = target, .form = form, .text = {}, .flag = nullptr});
  if (std::holds_alternative<bool*>(target)) {
    option.flag = command_
                      .add_flag_function(
                          "--" + name, [&option](int64_t) { option.text = "true"; }, help)
                      ->disable_flag_override();
    return;
  }
  option.flag = command_.add_option("--" + name, option.text, help);
  const bool list = std::holds_alternative<std::vector<std::string>*>(target);
  option.flag->type_name(form.empty() || list ? placeholder(target) : form)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  option.flag->default_str(default_text(target));
}

void Options::add_config_file() {
  config_flag_ =
      command_.add_option("--config", config_file_, "TOML file whose keys are named like the flags; flags win");
  config_flag_->type_name("FILE");
}

bool Options::given(const std::string& name) const {
  return std::ranges::find(options_, name, &Option::name)->flag->count() > 0;
}

std::string Options::toml() const {
  std::string out;
  const auto line = [&](const std::string& name, const auto& value) {
    out += fmt::format("{} = {}\n", name, toml_text(value));
  };
  for (const Option& option : options_) {
    std::visit(Overload{[&](const std::optional<double>* target) {
                          if (*target) line(option.name, **target);
                        },
                        [&](const auto* target) { line(option.name, *target); }},
               option.target);
  }
  return out;
}

void Options::check_value(const std::string& where, const Option& option) {
  if (option.form.empty()) return;
  std::visit(Overload{[&](const std::string* value) {
                        if (!value->empty()) check_form(where, *value, option.form);
                      },
                      [&](const std::vector<std::string>* values) {
                        for (const auto& v : *values) check_form(where, v, option.form);
                      },
                      [](const auto*) {}},
             option.target);
}

void Options::read_file() {
  const toml::table table = parse_toml(config_file_);
  std::vector<std::string> names;
  for (const Option& option : options_) names.push_back(option.name);
  for (const auto& [key, node] : table) {
    const std::string where = fmt::format("{}:{}", config_file_, node.source().begin.line);
    const auto option = std::ranges::find(options_, key.str(), &Option::name);
    if (option == options_.end()) {
      bad_input("{}: unknown key '{}': the keys are the flags, without --{}", where, key.str(),
                did_you_mean(nearest(key.str(), names)));
    }
    std::visit(
        [&, &value = node](auto* target) {
          if (!convert(value, *target)) bad_input("{}: {}: expected {}", where, option->name, kind(*target));
        },
        option->target);
    check_value(where + ": " + option->name, *option);
  }
}

void Options::apply() {
  if (config_flag_ != nullptr && config_flag_->count() > 0) {
    check_given("config", config_file_, config_flag_->get_type_name());
    read_file();
  }
  for (const Option& option : options_) {
    if (option.flag->count() == 0) continue;
    check_given(option.name, option.text, option.flag->get_type_name());
    std::visit(
        [&](auto* target) {
          if (!parse(option.text, *target)) bad_input("--{}: '{}' is not {}", option.name, option.text, kind(*target));
        },
        option.target);
    check_value(option.name, option);
  }
}

void check_form(const std::string& where, const std::string& value, const std::string& form) {
  const std::vector<std::string> parts = CLI::detail::split(form, '|');
  if (std::ranges::any_of(parts, [&](const std::string& part) { return fits(value, part); })) return;
  bad_input("{}: unknown '{}': expected {}{}", where, value, fmt::join(parts, ", "),
            did_you_mean(part_meant(value, parts)));
}

void show_examples(CLI::App& command, const std::vector<std::string>& lines) {
  command.footer(fmt::format("Examples:\n  {}", fmt::join(lines, "\n  ")));
}

}  // namespace mixgrad::cli
