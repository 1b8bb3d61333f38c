// SPDX-License-Identifier: Apache-2.0
// The C functions that add up the products of weights and codes: in C, and for some processors in their instructions.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <tuple>

namespace mixgrad::integer {

/// The functions that add up products differ in the width of the weights, and in how many channels (1 or 2) and output
/// positions (1 or 4; with NET_WIDE, NET_TILE instead of 4) they add up at once.
struct Sums {
  int bits, channels;
  int64_t positions;
  bool operator<(const Sums& other) const {
    return std::tie(bits, channels, positions) < std::tie(other.bits, other.channels, other.positions);
  }

  int pairs() const { return 16 / bits / channels; }  ///< of weights of a channel in a word
  std::string name() const { return fmt::format("sums_{}_{}x{}", bits, channels, positions); }
};

enum class Machine { dsp, few_registers, plain };
/// WEIGHTS_n(w, word) declares two weights of a word, and ADD_n adds their products with pair i of a patch to a sum.
std::string sums_macros(Machine machine, int bits, bool signed_inputs);

/// The text of the function. Where NET_HELIUM is defined, it finds the distance of the positions' patches in sums[0].
std::string sums_function(const Sums& s);

/// sums_3x3, for the sums of four channels under a kernel of 3 x 3 each, where there are DSP instructions.
std::string sums_of_3x3();

}  // namespace mixgrad::integer
