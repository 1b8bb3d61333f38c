// SPDX-License-Identifier: Apache-2.0
#include <src/internal/c_context.h>

#include <limits>

namespace mixgrad::integer {

std::string c_literal(int value) {
  return value == std::numeric_limits<int>::min() ? "INT32_MIN" : std::to_string(value);
}

std::string c_lines(const std::vector<std::string>& numbers) {
  std::string out, line = "  ";
  for (const std::string& number : numbers) {
    if (line.size() + number.size() + 1 > 118) {
      out += line + "\n";
      line = "  ";
    }
    line += number + ",";
  }
  return out + line + "\n";
}

}  // namespace mixgrad::integer
