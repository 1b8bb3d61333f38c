// SPDX-License-Identifier: Apache-2.0
#include <src/internal/json.h>
#include <src/internal/names.h>

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

namespace mixgrad {
namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("_./:=,%+-").find(c) != std::string_view::npos;
}

/// For use inside $'...'.
std::string escaped(char c) {
  if (c == '\'' || c == '\\') return {'\\', c};
  if (c >= ' ' && c <= '~') return {c};
  return fmt::format("\\{:03o}", static_cast<unsigned char>(c));
}

}  // namespace

std::string valid_utf8(const std::string& name) {
  return parse_json(json_text(nlohmann::json(name))).get<std::string>();
}

std::string on_one_line(const std::string& name) {
  std::string out = valid_utf8(name);
  std::ranges::replace_if(out, is_control, ' ');
  return out;
}

std::string c_comment(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const char before = out.empty() ? ' ' : out.back();
    const bool ascii = static_cast<unsigned char>(c) < 0x80;
    if (!ascii || c == '?') {
      if (before != '?') out += '?';
      continue;
    }
    if ((before == '*' && c == '/') || (before == '/' && c == '*')) out += ' ';
    out += is_control(c) ? ' ' : c;
  }
  return out;
}

bool is_utf8(const std::string& text) { return valid_utf8(text) == text; }

std::string shell_word(const std::string& text) {
  if (!text.empty() && std::ranges::all_of(text, is_plain)) return text;
  const bool escapes = std::ranges::any_of(text, is_control) || !is_utf8(text);
  std::string out = escapes ? "$'" : "'";
  for (const char c : text) out += escapes ? escaped(c) : c == '\'' ? "'\\''" : std::string{c};
  return out + "'";
}

}  // namespace mixgrad
