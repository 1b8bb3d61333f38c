// SPDX-License-Identifier: Apache-2.0
#include <src/internal/names.h>
#include <src/internal/text.h>

#include <fmt/core.h>

#include <iterator>

namespace mixgrad::report {

std::string grouped(double value) {
  std::string digits = fmt::format("{:.0f}", value);
  for (auto i = std::ssize(digits) - 3; i > 0; i -= 3) digits.insert(static_cast<size_t>(i), ",");
  return digits;
}

std::string shortened(const std::string& name, size_t longest) {
  const std::string line = on_one_line(name);
  if (line.size() <= longest) return line;
  size_t at = line.size() - longest + 2;
  while (at < line.size() && (static_cast<unsigned char>(line[at]) & 0xc0) == 0x80) ++at;  // inside a character
  return ".." + line.substr(at);
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string listed(const std::vector<std::string>& words, size_t indent, size_t width) {
  std::string out;
  size_t column = indent;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string word = shortened(words[i], width - indent - 1) + (i + 1 < words.size() ? "," : "");
    const bool breaks = i > 0 && column + 1 + word.size() > width;
    if (breaks) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (i > 0) {
      out += " ";
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out;
}

}  // namespace mixgrad::report
