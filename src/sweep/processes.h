// SPDX-License-Identifier: Apache-2.0
// This program's own binary, run again as processes beside this one.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace mixgrad::sweep {

/// Processes end with this object, and with this process however it ends. While it lives, SIGINT and SIGTERM only set
/// stopped().
class Processes {
 public:
  Processes();
  ~Processes();
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  /// Runs `mixgrad arguments`, what it prints going to file `log`. `id` is the caller's name for it.
  void start(size_t id, const std::vector<std::string>& arguments, const std::string& log);

  struct Ended {
    size_t id;
    std::string complaint;  ///< empty if all went well
  };
  /// A process that has ended since. Does not wait.
  std::optional<Ended> poll();

  /// Whether a signal wants this process to end.
  static bool stopped();
  /// Lets a moment pass between two polls.
  static void pause();

 private:
  struct Child {
    size_t id;
    std::string log;
  };
  std::map<pid_t, Child> children_;
};

}  // namespace mixgrad::sweep
