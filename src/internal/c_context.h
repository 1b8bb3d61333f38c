// SPDX-License-Identifier: Apache-2.0
// What an operator of an integer network uses to emit its C code.
#pragma once

#include <mixgrad/deploy.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

namespace mixgrad::integer {

/// What a node adds to net.c.
struct CText {
  std::vector<std::string> functions;  ///< from c_runtime.h, each after those that it calls
  std::string table;                   ///< its constants
  std::string call;                    ///< its line in net_run
};

/// What tells an output's names in C from the others': "0", "1", ..., or nothing if it is the only one.
inline std::string output_number(const IntegerNetwork& network, int node) {
  const auto found = std::ranges::find(network.outputs, node, &IntegerOutput::node);
  return network.outputs.size() == 1 ? "" : std::to_string(found - network.outputs.begin());
}

/// The parameter of net_run for an output.
inline std::string c_output(const IntegerNetwork& network, int node) { return "out" + output_number(network, node); }

/// What a function of net.c does with single codes in memory.
enum class Access { read, write, copy };

struct CContext {
  const IntegerNetwork& network;
  const Arena& arena;
  size_t index;  ///< the node's index

  const IntegerNode& node() const { return network.nodes[index]; }
  const IntegerNode& input(size_t i = 0) const { return network.input_of(node(), i); }
  int64_t largest_input(size_t i = 0) const { return std::max(input(i).high, -input(i).low); }
  /// How a tensor's codes lie in memory, for the functions that access them: whether they are signed and, if codes
  /// share bytes anywhere in the network, 2 times their width.
  int kind(int i) const;
  int kind() const { return kind(static_cast<int>(index)); }
  int input_kind(size_t i = 0) const { return kind(node().inputs[i]); }
  /// Those functions, before others that call them.
  std::vector<std::string> functions(std::initializer_list<Access> access, std::vector<std::string> others) const;
  std::string x(size_t i = 0) const { return bytes(node().inputs[i]); }
  std::string y() const { return bytes(static_cast<int>(index)); }
  /// Arguments of functions that compute sums: codes and 32-bit results, one of them null.
  std::string results() const { return node().raw ? "0, " + c_output(network, static_cast<int>(index)) : y() + ", 0"; }

 private:
  /// The C expression for a tensor's first byte.
  std::string bytes(int i) const {
    if (i == 0) return "(const uint8_t *)in";
    if (network.returns(i)) return "(uint8_t *)" + c_output(network, i);
    return fmt::format("(uint8_t *)arena + {}", arena.offsets[static_cast<size_t>(i)]);
  }
};

/// The arguments "factor, multiplier, shift" of an operator whose values are at most `largest`: where that fits in 32
/// bits, values grow by a power of 2 that makes the shift 33, so that the upper half of a product is enough.
inline std::string c_scale(const FixedPoint& ratio, int64_t largest) {
  const int up = std::max(0, 33 - ratio.shift);
  const bool fits = (largest << up) < (int64_t{1} << 31);
  return fmt::format("{}, {}, {}", fits ? 1 << up : 1, ratio.multiplier, ratio.shift + (fits ? up : 0));
}

/// An integer constant in C. INT32_MIN needs an expression, because C has no negative literals.
std::string c_literal(int value);
/// Comma-separated numbers in lines of at most 120 columns.
std::string c_lines(const std::vector<std::string>& numbers);

template <typename T>
std::string c_numbers(const std::vector<T>& values, const char* how = "{}") {
  std::vector<std::string> numbers;
  for (const T& v : values) numbers.push_back(fmt::format(fmt::runtime(how), v));
  return c_lines(numbers);
}

template <typename T>
std::string c_array(const char* type, const std::string& name, const std::vector<T>& values, const char* how = "{}") {
  return fmt::format("static const {} {}[{}] NET_SECTION = {{\n{}}};\n", type, name, values.size(),
                     c_numbers(values, how));
}

}  // namespace mixgrad::integer
