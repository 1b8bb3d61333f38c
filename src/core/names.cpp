// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace mixgrad {
namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

}  // namespace

std::string valid_utf8(const std::string& name) {
  using nlohmann::json;
  return json::parse(json(name).dump(-1, ' ', false, json::error_handler_t::replace)).get<std::string>();
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

}  // namespace mixgrad
