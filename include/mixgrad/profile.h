// SPDX-License-Identifier: Apache-2.0
// Runs C packages on emulated processors, counting instructions and memory.
#pragma once

#include <mixgrad/integer.h>

#include <cstdint>
#include <string>
#include <vector>

namespace mixgrad {

/// An inference by a C package on an emulated processor.
struct Profile {
  struct Operator {
    std::string name, op;
    int64_t instructions;
    int64_t macs;  ///< 0 for operators that are not layers
  };
  std::vector<Operator> operators;  ///< in order, without those that run no code
  int64_t instructions = 0;
  int64_t stack_bytes = 0;                                    ///< below the caller of net_run
  int64_t code_bytes = 0, constant_bytes = 0, ram_bytes = 0;  ///< of net.o: .text, .rodata, and .bss with .data

  int64_t macs() const;
};
/// The names of the processors that QEMU emulates: cortex-m4, ...
std::vector<std::string> profile_targets();
/// Builds the package for a processor with `optimization` (a flag of its compiler) and runs it on one image. Throws
/// bad_input if there is no such target or its tools are not installed, failed_run if they fail.
Profile profile(const IntegerNetwork& network, const std::string& target, const std::string& optimization = "-O2");

}  // namespace mixgrad
