// SPDX-License-Identifier: Apache-2.0
// Processors that C packages are measured on, and what it takes to run a program on them.
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
  std::string run;       ///< the command that runs `program`
  std::string counting;  ///< more flags of it, for `clock`
  std::string clock;     ///< C: uint32_t now(void), the time so far in `unit`, up to a constant
  std::string packages;  ///< of Debian, that it needs
  std::vector<std::pair<std::string, std::string>> files = {};  ///< names and texts of what `linking` mentions
  std::string unit = "instructions";
  int runs = 1;  ///< of which the fastest counts, where times vary
};

const std::vector<Board>& boards();

}  // namespace mixgrad
