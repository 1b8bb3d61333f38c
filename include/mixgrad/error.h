// SPDX-License-Identifier: Apache-2.0
// The one exception type: bad input (exit code 2) or a run that failed (exit code 1).
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace mixgrad {

class Error : public std::runtime_error {
 public:
  enum class Kind { bad_input, failed_run };

  Error(Kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

/// Invalid input from the caller. Say what is wrong, where, and what would be right, in one line.
template <typename... Args>
[[noreturn]] void bad_input(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(Error::Kind::bad_input, fmt::format(format, std::forward<Args>(args)...));
}

/// The input is valid, but the run cannot continue (disk full, loss not finite).
template <typename... Args>
[[noreturn]] void failed_run(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(Error::Kind::failed_run, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace mixgrad
