// SPDX-License-Identifier: Apache-2.0
#include "shell_word.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace mixgrad {
namespace {

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("_./:=,%+-").find(c) != std::string_view::npos;
}

bool is_control(char c) { return std::iscntrl(static_cast<unsigned char>(c)) != 0; }

/// Inside $'...'.
std::string escaped(char c) {
  if (c == '\'' || c == '\\') return {'\\', c};
  if (c >= ' ' && c <= '~') return {c};
  return fmt::format("\\{:03o}", static_cast<unsigned char>(c));
}

}  // namespace

bool is_utf8(const std::string& text) {
  try {
    return !nlohmann::json(text).dump().empty();
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

std::string shell_word(const std::string& text) {
  if (!text.empty() && std::ranges::all_of(text, is_plain)) return text;
  const bool escapes = std::ranges::any_of(text, is_control) || !is_utf8(text);
  std::string out = escapes ? "$'" : "'";
  for (const char c : text) out += escapes ? escaped(c) : c == '\'' ? "'\\''" : std::string{c};
  return out + "'";
}

}  // namespace mixgrad
