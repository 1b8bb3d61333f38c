// SPDX-License-Identifier: Apache-2.0
// Processors that QEMU emulates, counting instructions, and what it takes to run a program on them.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace mixgrad {

struct Board {
  std::string name;      ///< of the processor: "cortex-m4"
  std::string tools;     ///< what the names of its compiler and of `size` begin with
  std::string flags;     ///< of the compiler
  std::string linking;   ///< flags and files that make it a program
  std::string emulator;  ///< the command; "-kernel PROGRAM" follows, before it -icount shift=0 to count
  std::string clock;     ///< C: uint32_t now(void), the number of instructions so far, up to a constant
  std::vector<std::pair<std::string, std::string>> files = {};  ///< names and texts of what `linking` mentions
  std::string packages;                                         ///< of Debian, that it needs
};

const std::vector<Board>& boards();

}  // namespace mixgrad
