// SPDX-License-Identifier: Apache-2.0
// Ctrl-C (SIGINT) and SIGTERM: the first signal asks a run to stop and save its result, the second ends the program.
#pragma once

#include <functional>

namespace mixgrad::cli {

/// Catches the signals during its lifetime. At most one may exist at a time.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// The first signal caught, or 0.
  static int signal();
  /// The program's exit code: 0, or 128 + the signal, as in shells (130 after Ctrl-C, 143 after SIGTERM).
  static int exit_code() { return signal() == 0 ? 0 : 128 + signal(); }
};

/// Runs work that starts other programs. A signal ends these, and with them the work, which deletes its temporary
/// files; then the program ends by that signal.
void interruptible(const std::function<void()>& work);

}  // namespace mixgrad::cli
