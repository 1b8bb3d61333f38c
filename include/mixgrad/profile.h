// SPDX-License-Identifier: Apache-2.0
// Runs C packages on emulated processors, counting instructions and memory, and makes cost tables of what they take.
#pragma once

#include <mixgrad/cost.h>
#include <mixgrad/integer.h>

#include <cstdint>
#include <string>
#include <vector>

namespace mixgrad {

/// An inference by a C package on a processor.
struct Profile {
  struct Operator {
    std::string name, op;
    int64_t time;  ///< in `unit`
    int64_t macs;  ///< 0 for operators that are not layers
  };
  std::string unit;                 ///< "instructions"; on the host "cycles" or "nanoseconds", the least of many runs
  std::vector<Operator> operators;  ///< in order, without those that run no code
  int64_t time = 0;
  int64_t stack_bytes = 0;                                    ///< below the caller of net_run
  int64_t code_bytes = 0, constant_bytes = 0, ram_bytes = 0;  ///< of net.o: .text, .rodata, and .bss with .data

  int64_t macs() const;
};
/// The names of the processors: cortex-m4, ..., which QEMU emulates, and host.
std::vector<std::string> profile_targets();
/// Builds the package for a processor with `optimization` (a flag of its compiler) and runs it on one image. Throws
/// bad_input if there is no such target or its tools are not installed, failed_run if they fail.
Profile profile(const IntegerNetwork& network, const std::string& target, const std::string& optimization = "-O2");

/// Costs of operators on a processor, for searches.
struct CostTable {
  static constexpr const char* held_against = "resnet8";  ///< a network that the table was not fitted to

  cost::Table table;
  double predicted = 0, measured = 0;  ///< of that network with weights of 8 bits
};
/// Runs networks of layers of every kind and width, and of all other operators, and fits a table to what each took.
/// Throws as profile().
CostTable measure_costs(const std::string& target, const std::string& optimization = "-O2");

}  // namespace mixgrad
