// SPDX-License-Identifier: Apache-2.0
// Runs this program's own binary in child processes.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace mixgrad::sweep {

/// Child processes end with this object, and with this process however it ends. During its lifetime, SIGINT and SIGTERM
/// only set stopped().
class Processes {
 public:
  Processes();
  ~Processes();
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  /// Runs `mixgrad arguments` with its output in the file `log`. `id` is the caller's name for it.
  void start(size_t id, const std::vector<std::string>& arguments, const std::string& log);

  struct Ended {
    size_t id;
    std::string complaint;  ///< empty on success
  };
  /// A process that has ended, if any. Does not wait.
  std::optional<Ended> poll();

  /// Whether a signal has asked this process to end.
  static bool stopped();
  /// Sleeps for a moment between polls.
  static void pause();

 private:
  struct Child {
    size_t id;
    std::string log;
  };
  std::map<pid_t, Child> children_;
};

}  // namespace mixgrad::sweep
