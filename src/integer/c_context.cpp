// SPDX-License-Identifier: Apache-2.0
#include "c_runtime.h"

#include <src/internal/c_context.h>

#include <limits>
#include <set>

namespace mixgrad::integer {

int CContext::kind(int i) const {
  const int is_signed = network.nodes[static_cast<size_t>(i)].is_signed() ? 1 : 0;
  return shares_bytes(network) ? 2 * stored_bits(network, i) + is_signed : is_signed;
}

std::vector<std::string> CContext::functions(std::initializer_list<Access> access,
                                             std::vector<std::string> others) const {
  std::set<Access> all = access;
  const bool bits = shares_bytes(network);
  if (bits && all.contains(Access::copy)) all.insert({Access::read, Access::write});
  std::vector<std::string> out;
  if (all.contains(Access::read)) {
    if (!bits) out.emplace_back(c_runtime::read_code);
    out.emplace_back(bits ? c_runtime::read_bits : c_runtime::read_byte);
  }
  if (all.contains(Access::write)) out.emplace_back(bits ? c_runtime::write_bits : c_runtime::write_byte);
  if (all.contains(Access::copy)) out.emplace_back(bits ? c_runtime::copy_bits : c_runtime::copy_byte);
  for (std::string& f : others) out.push_back(std::move(f));
  return out;
}

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
