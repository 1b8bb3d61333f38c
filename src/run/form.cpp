// SPDX-License-Identifier: Apache-2.0
// Forms of values: "pact|lsq" are two words, "glyphs|idx:DIR" a word and a pattern.

#include <mixgrad/error.h>
#include <mixgrad/settings.h>

#include <src/internal/suggest.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include <fnmatch.h>

namespace mixgrad {
namespace {

std::vector<std::string> parts_of(std::string_view form) {
  std::vector<std::string> parts;
  for (size_t begin = 0, end = 0; end != std::string_view::npos; begin = end + 1) {
    end = form.find('|', begin);
    parts.emplace_back(form.substr(begin, end - begin));
  }
  return parts;
}

bool is_capital(char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; }

/// Whether `value` matches `part` of a form, where capitals are placeholders. After a colon, anything matches.
/// FILE.onnx matches files of any type, because their reader has the better error message.
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

/// The part of a form that was probably meant: the nearest word, or "cifar10:DIR" by its prefix before the colon.
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

}  // namespace

void check_form(const std::string& where, const std::string& value, const std::string& form) {
  const std::vector<std::string> parts = parts_of(form);
  if (std::ranges::any_of(parts, [&](const std::string& part) { return fits(value, part); })) return;
  bad_input("{}: unknown '{}': expected {}{}", where, value, fmt::join(parts, ", "),
            did_you_mean(part_meant(value, parts)));
}

}  // namespace mixgrad
