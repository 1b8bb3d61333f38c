// SPDX-License-Identifier: Apache-2.0
// How each type of setting is read and written, from flags and in TOML.

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/settings.h>

#include <src/internal/names.h>
#include <src/internal/suggest.h>

#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <utility>

namespace mixgrad {
namespace {

template <typename... Functions>
struct Overload : Functions... {
  using Functions::operator()...;
};
template <typename... Functions>
Overload(Functions...) -> Overload<Functions...>;

// The name of each type in messages.
const char* kind(const Choice&) { return "text"; }
const char* kind(const std::string&) { return "text"; }
const char* kind(double) { return "a number"; }
const char* kind(const std::optional<double>&) { return "a number"; }
const char* kind(const std::vector<int>&) { return "whole numbers like 2,4,8"; }
const char* kind(const std::vector<uint64_t>&) { return "whole numbers of 0 or more, like 1,2,3"; }
const char* kind(const std::vector<double>&) { return "numbers like 1e-7,3e-7"; }
const char* kind(const std::vector<std::string>&) { return "a comma-separated list"; }
const char* kind(bool) { return "true or false"; }
const char* kind(int) { return "a whole number"; }
const char* kind(int64_t) { return "a whole number"; }
const char* kind(uint64_t) { return "a whole number of 0 or more"; }

/// Throws bad_input unless the value just set has the expected form.
void check_value(const NamedVariable& v, const std::string& where) {
  if (v.form.empty()) return;
  std::visit(Overload{[&](const std::string* value) {
                        if (!value->empty()) check_form(where, *value, v.form);
                      },
                      [&](const std::vector<std::string>* values) {
                        for (const auto& value : *values) check_form(where, value, v.form);
                      },
                      [](const Choice&) {}, [](const auto*) {}},
             v.variable);
}

void choose(const Choice& choice, const std::string& where, const std::string& name) {
  if (!choice.set(name)) check_form(where, name, choice.form());
}

// --- from a flag ----------------------------------------------------------------------------------------------

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

// --- to a TOML file -------------------------------------------------------------------------------------------

std::string toml_text(const std::string& value) {
  if (!is_utf8(value)) bad_input("'{}' is not UTF-8, so no settings file can hold it: expected a UTF-8 name", value);
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
    bad_input("{}:{}: invalid TOML at column {}: expected lines like batch-size = 128", file, e.source().begin.line,
              e.source().begin.column);
  }
}

/// Sets the variable to a value from the file. `where`: file, line and key.
void set_from_node(const NamedVariable& v, const toml::node& node, const std::string& where) {
  const auto expect = [&](bool good, const char* what) {
    if (!good) bad_input("{}: expected {}", where, what);
  };
  std::visit(Overload{[&](const Choice& choice) {
                        std::string name;
                        expect(convert(node, name), kind(choice));
                        choose(choice, where, name);
                      },
                      [&](auto* value) { expect(convert(node, *value), kind(*value)); }},
             v.variable);
  check_value(v, where);
}

}  // namespace

std::string form_of(const NamedVariable& v) {
  const bool list = std::holds_alternative<std::vector<std::string>*>(v.variable);
  if (!v.form.empty() && !list) return v.form;
  return std::visit(Overload{[](const Choice& choice) { return choice.form(); },
                             [](const std::string*) { return std::string("TEXT"); },
                             [](const std::vector<std::string>*) { return std::string("TEXT,TEXT,..."); },
                             []<typename T>(const std::vector<T>*) { return std::string("N,N,..."); },
                             [](const auto*) { return std::string("N"); }},
                    v.variable);
}

std::string value_text(const Variable& variable) {
  return std::visit(
      Overload{[](const Choice& choice) { return choice.name(); },
               [](const std::optional<double>* value) { return *value ? fmt::format("{}", **value) : std::string(); },
               []<typename T>(const std::vector<T>* value) { return fmt::format("{}", fmt::join(*value, ",")); },
               [](const auto* value) { return fmt::format("{}", *value); }},
      variable);
}

void set_from_text(const NamedVariable& v, const std::string& text) {
  std::visit(Overload{[&](const Choice& choice) { choose(choice, v.name, text); },
                      [&](auto* value) {
                        if (!parse(text, *value)) bad_input("--{}: '{}' is not {}", v.name, text, kind(*value));
                      }},
             v.variable);
  check_value(v, v.name);
}

void set_from_toml(std::span<const NamedVariable> variables, const std::string& file) {
  const toml::table table = parse_toml(file);
  std::vector<std::string> names;
  for (const NamedVariable& v : variables) names.push_back(v.name);
  for (const auto& [key, node] : table) {
    const std::string where = fmt::format("{}:{}", file, node.source().begin.line);
    const auto found = std::ranges::find(variables, key.str(), &NamedVariable::name);
    if (found == variables.end()) {
      bad_input("{}: unknown key '{}': expected a flag's name without --{}", where, key.str(),
                did_you_mean(nearest(key.str(), names)));
    }
    set_from_node(*found, node, fmt::format("{}: {}", where, found->name));
  }
}

std::string to_toml(std::span<const NamedVariable> variables) {
  std::string out;
  for (const NamedVariable& v : variables) {
    const auto line = [&](const auto& value) { out += fmt::format("{} = {}\n", v.name, toml_text(value)); };
    std::visit(Overload{[&](const Choice& choice) { line(choice.name()); },
                        [&](const std::optional<double>* value) {
                          if (*value) line(**value);
                        },
                        [&](const auto* value) { line(*value); }},
               v.variable);
  }
  return out;
}

}  // namespace mixgrad
